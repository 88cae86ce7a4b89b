// The operations of manage:sonnet_zettel, each from its input to its answer.
import { capabilityError } from '../../worker/call-error.ts'
import { matchOf, type Card, type Filter } from '../zettel/queries.ts'
import type { Zettels } from '../zettel/store.ts'
import { tidy, type Zettel } from '../zettel/zettel.ts'
import type { Input, Inputs, Output } from './schemas.ts'

/** @throws {HandlerError} INVALID_INPUT, and the errors of the store */
export function operate(zettels: Zettels, input: Input): Promise<Output> {
  switch (input.operation) {
    case 'store':
      return store(zettels, input)
    case 'retrieve':
      return retrieve(zettels, input)
    case 'list':
      return list(zettels, input)
    case 'search':
      return search(zettels, input)
    case 'link':
      return link(zettels, input)
    case 'backlinks':
      return backlinks(zettels, input)
  }
}

async function store(zettels: Zettels, { operation: _, ...draft }: Inputs['store']): Promise<Output> {
  const { card, links, backlinks } = await zettels.add(draft)
  return { success: true, zettel_id: card.zettel_id, message: 'stored', data: { zettel: card, links, backlinks } }
}

async function retrieve(zettels: Zettels, { zettel_id: id }: Inputs['retrieve']): Promise<Output> {
  const { zettel, links, backlinks } = await zettels.get(id)
  const data = { zettel: { ...cardOf(zettel), content: zettel.content }, links, backlinks }
  return { success: true, zettel_id: zettel.zettel_id, message: 'found', data }
}

async function list(zettels: Zettels, { limit = 100, offset = 0, ...filter }: Inputs['list']): Promise<Output> {
  const { found, total } = await zettels.list(tidied(filter), { limit, offset })
  return {
    success: true,
    message: `${found.length} of ${total}`,
    data: { zettels: found.map(({ card }) => card), total },
  }
}

async function search(zettels: Zettels, { query, limit = 10, ...filter }: Inputs['search']): Promise<Output> {
  const match = matchOf(query)
  if (match === undefined) throw capabilityError('INVALID_INPUT', 'input/query has no words')
  const hits = await zettels.search(match, tidied(filter), limit)
  const data = { hits: hits.map(({ card, snippet }) => ({ ...card, snippet })) }
  return { success: true, message: `${hits.length} found`, data }
}

async function link(zettels: Zettels, { zettel_id: from, target_id: to }: Inputs['link']): Promise<Output> {
  const { source_id, target_id, added } = await zettels.link(from, to)
  const message = added ? 'linked' : 'was already linked'
  return { success: true, zettel_id: source_id, message, data: { target_id, added } }
}

async function backlinks(
  zettels: Zettels,
  { zettel_id: id, limit = 100, offset = 0 }: Inputs['backlinks'],
): Promise<Output> {
  const { found, total } = await zettels.backlinks(id, { limit, offset })
  const data = { zettels: found.map(({ card }) => card), total }
  return { success: true, zettel_id: id, message: `${found.length} of ${total}`, data }
}

function cardOf({ content: _c, links: _l, metadata: _m, context: _x, tags, ...card }: Zettel): Card {
  return { ...card, tags: [...tags] }
}

/** Names in the form in which they are stored. */
function tidied({ category, source_agent, tags }: Filter): Filter {
  return {
    category: category === undefined ? undefined : tidy(category),
    source_agent: source_agent === undefined ? undefined : tidy(source_agent),
    tags: tags?.map(tidy),
  }
}
