// The write operations of one caller: the file first, then the index. Only for the single writer.
import { isDeepStrictEqual } from 'node:util'
import { capabilityError } from '../../worker/call-error.ts'
import { errnoOf } from './durable-file.ts'
import { notFound, type Quota } from './errors.ts'
import { addLink, formatZettel, parseZettel } from './front-matter.ts'
import { keyOf, pathOf } from './names.ts'
import { currentFile, linksAround, visible, type Session, type Stored } from './reading.ts'
import { withNoteHead } from './note-head.ts'
import type { Ulids } from './ulid.ts'
import { wikiLinks } from './wiki-links.ts'
import { invalid, makeZettel, type Draft, type Zettel } from './zettel.ts'

export type WritingSession = Session & {
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly ulids: Ulids
  readonly quota: Quota
}

/** `added` is false when the link existed. The ids are spelled as in the zettels. */
export type Linking = { readonly source_id: string; readonly target_id: string; readonly added: boolean }

/** See Zettels.add. */
export async function addZettel(session: WritingSession, given: Draft, id: string | undefined): Promise<Stored> {
  session.signal.throwIfAborted()
  const draft = withNoteHead(given)
  const origin = { stored_by: session.caller, created_at: new Date(session.now()).toISOString() }
  const zettel = makeZettel(draft, { ...origin, zettel_id: id ?? unusedId(session) })
  const there = id === undefined ? undefined : await currentFile(session.open, id)
  if (there === undefined) await write(session, zettel)
  else if (!isSame(parseZettel(there.text), draft, zettel)) throw invalid('the zettel_id already exists')
  const found = visible(session, zettel.zettel_id)
  return { card: found.card, path: found.path, ...linksAround(session, found) }
}

/** See Zettels.link. */
export async function linkZettels(session: WritingSession, from: string, to: string): Promise<Linking> {
  session.signal.throwIfAborted()
  const { open, caller, now } = session
  const file = await currentFile(open, from)
  const [source, target] = [visible(session, from), visible(session, to)]
  if (file === undefined || source.card.stored_by !== caller) throw notFound()
  if (source.number === target.number) throw invalid('a zettel cannot be linked to itself')
  const { content, links = [] } = parseZettel(file.text)
  const targets = [...links, ...wikiLinks(content).map((link) => link.target)]
  const targetId = target.card.zettel_id
  const linking = { source_id: source.card.zettel_id, target_id: targetId }
  if (targets.some((name) => keyOf(name) === keyOf(targetId))) return { ...linking, added: false }
  const text = addLink(file.text, targetId, new Date(now()).toISOString())
  const zettel = parseZettel(text)
  const stamp = await open.folder.replace(source.path, text)
  open.index.put({ path: source.path, stamp, bytes: Buffer.byteLength(text), zettel })
  return { ...linking, added: true }
}

function unusedId({ open, ulids }: WritingSession): string {
  for (;;) {
    const id = ulids()
    if (open.queries.byId(id) === undefined) return id
  }
}

function isSame(there: Zettel, draft: Draft, { zettel_id, stored_by }: Zettel): boolean {
  if (there.zettel_id !== zettel_id || there.stored_by !== stored_by) return false
  return isDeepStrictEqual(makeZettel(draft, there), there)
}

async function write({ open, caller, quota }: WritingSession, zettel: Zettel): Promise<void> {
  const { zettels, bytes } = open.queries.usageOf(caller)
  const [path, text] = [pathOf(zettel), formatZettel(zettel)]
  const length = Buffer.byteLength(text)
  if (zettels >= quota.zettels || bytes + length > quota.bytes) {
    throw capabilityError('TOO_MANY_ZETTELS', `a caller may keep ${quota.zettels} zettels and ${quota.bytes} bytes`)
  }
  const stamp = await open.folder.create(path, text).catch((cause: unknown) => {
    // Someone added the file by hand and no scan has seen it yet, or it contains no valid zettel.
    throw errnoOf(cause) === 'EEXIST' ? invalid('the zettel_id already exists') : cause
  })
  try {
    if (!open.index.put({ path, stamp, bytes: length, zettel })) throw invalid('the zettel_id already exists')
  } catch (cause: unknown) {
    await open.folder.remove(path)
    throw cause
  }
}
