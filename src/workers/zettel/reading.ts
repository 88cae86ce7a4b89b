// The read operations of one caller: from the index, checked against the files.
import { notFound } from './errors.ts'
import type { Read } from './folder.ts'
import { parseZettel } from './front-matter.ts'
import type { OpenPlace, Place } from './place.ts'
import type { Card, Found, Link } from './queries.ts'
import { scanAll, takeIn } from './scan.ts'
import type { Zettel } from './zettel.ts'

/** The context of a call. */
export type Session = {
  readonly place: Place
  readonly open: OpenPlace
  readonly caller: string
  readonly signal: AbortSignal
}
/** `backlinks`: ids, newest first, at most MAX_BACKLINKS. */
type Linked = { readonly links: Link[]; readonly backlinks: string[] }
export type Stored = Linked & { readonly card: Card; readonly path: string }
export type Whole = Linked & { readonly zettel: Zettel }

export const MAX_BACKLINKS = 100
const MAX_TRIES = 3

/** @throws {HandlerError} ZETTEL_NOT_FOUND, the same for a missing zettel and another caller's */
export function visible({ open, caller }: Session, id: string): Found {
  const found = open.queries.byId(id)
  if (found === undefined || !(found.card.shared || found.card.stored_by === caller)) throw notFound()
  return found
}

export function linksAround({ open, caller }: Session, found: Found): Linked {
  const { found: linking } = open.queries.backlinksOf(caller, found, { limit: MAX_BACKLINKS, offset: 0 })
  return { links: open.queries.linksOf(caller, found), backlinks: linking.map(({ card }) => card.zettel_id) }
}

/** The zettel as its file is now. @throws {HandlerError} ZETTEL_NOT_FOUND */
export async function readZettel(session: Session, id: string): Promise<Whole> {
  const { open, place, signal } = session
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    signal.throwIfAborted()
    const found = visible(session, id)
    const file = await open.folder.read(found.path)
    if (file?.stamp === found.stamp) return { zettel: parseZettel(file.text), ...linksAround(session, found) }
    // The zettel may have moved, and may belong to another caller now.
    await place.alone(() => follow(open, found, file))
  }
  throw notFound()
}

/** The file with this id; updates the index to it. Only for the single writer. */
export async function currentFile(open: OpenPlace, id: string): Promise<Read | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const found = open.queries.byId(id)
    if (found === undefined) return undefined
    const file = await open.folder.read(found.path)
    if (file?.stamp === found.stamp) return file
    await follow(open, found, file)
  }
  return undefined
}

async function follow(open: OpenPlace, { path }: Found, file: Read | undefined): Promise<void> {
  if (file === undefined) await scanAll(open)
  else await takeIn([path], open)
}

/** Repeats the query until no file of its result has changed since it was read. */
export async function settled<T>(
  { open, place, signal }: Session,
  query: () => T,
  foundIn: (answer: T) => readonly Found[],
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted()
    const answer = query()
    const found = foundIn(answer)
    const stamps = await Promise.all(found.map(({ path }) => open.folder.stampOf(path)))
    const stale = found.filter(({ stamp }, at) => stamp !== stamps[at]).map(({ path }) => path)
    if (stale.length === 0 || tries === MAX_TRIES) return answer
    await place.alone(() => takeIn(stale, open))
  }
}
