// The zettels of one folder as one caller sees them. The files are authoritative; the index finds them.
import { HandlerError } from '../../worker/call-error.ts'
import type { HandlerContext } from '../../worker/handler.ts'
import { errnoOf, type Sync } from './durable-file.ts'
import { QUOTA, storageFailure, type Quota } from './errors.ts'
import { createPlace, type OpenPlace } from './place.ts'
import type { Filter, Hit, Page, Paged } from './queries.ts'
import { readZettel, settled, visible, type Stored, type Whole } from './reading.ts'
import type { Scan } from './scan.ts'
import { createUlids, type Ulids } from './ulid.ts'
import { addZettel, linkZettels, type Linking, type WritingSession } from './writing.ts'
import type { Draft } from './zettel.ts'

/** The members of a call that the store needs. */
type Call = Pick<HandlerContext<unknown>, 'caller' | 'signal' | 'log' | 'inSpan'>

/** Every function throws HandlerError: INVALID_ZETTEL, TOO_MANY_ZETTELS, ZETTEL_NOT_FOUND, STORAGE_FAILURE. */
export type Zettels = {
  /** `id` undefined: a new ULID. Adding the same zettel with the same id again returns the stored one. */
  add(draft: Draft, id?: string): Promise<Stored>
  get(id: string): Promise<Whole>
  list(filter: Filter, page: Page): Promise<Paged>
  /** `match`: see matchOf. */
  search(match: string, filter: Filter, limit: number): Promise<Hit[]>
  backlinks(id: string, page: Page): Promise<Paged>
  /** A caller can change only their own zettels, and link to all that they can see. */
  link(from: string, to: string): Promise<Linking>
}
type ZettelStore = { zettelsFor(call: Call): Zettels; close(): Promise<void> }

export type StoreOptions = {
  /** Absolute; may be missing. */
  readonly root: string
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly ulids?: Ulids
  readonly quota?: Quota
  /** Interval of the scans for files that were changed by hand. */
  readonly rescanMs?: number
  readonly sync?: Sync
}

export function createZettelStore({ root, now = Date.now, quota = QUOTA, ...more }: StoreOptions): ZettelStore {
  const { ulids = createUlids({ now }), rescanMs, sync } = more
  const place = createPlace({ root, now, rescanMs, sync })
  return { zettelsFor, close: () => place.close() }

  function zettelsFor({ caller, signal, log, inSpan }: Call): Zettels {
    return {
      add: (draft, id) => writing((session) => addZettel(session, draft, id)),
      link: (from, to) => writing((session) => linkZettels(session, from, to)),
      get: (id) => guarded('zettel.read', (session) => readZettel(session, id)),
      list: (filter, page) =>
        guarded('zettel.list', (session) => {
          const query = () => session.open.queries.list(caller, filter, page)
          return settled(session, query, ({ found }) => found)
        }),
      search: (match, filter, limit) =>
        guarded('zettel.search', (session) => {
          const query = () => session.open.queries.search(caller, match, filter, limit)
          return settled(session, query, (hits) => hits)
        }),
      backlinks: (id, page) =>
        guarded('zettel.backlinks', async (session) => {
          await readZettel(session, id)
          const query = () => session.open.queries.backlinksOf(caller, visible(session, id), page)
          return settled(session, query, ({ found }) => found)
        }),
    }

    function writing<T>(run: (session: WritingSession) => Promise<T>): Promise<T> {
      return guarded('zettel.write', (session) => place.alone(() => run(session)))
    }

    async function guarded<T>(span: string, run: (session: WritingSession) => Promise<T>): Promise<T> {
      let open: OpenPlace | undefined
      try {
        const ready = await place.ready(async (scan) => report(await inSpan('zettel.scan', scan)))
        open = ready
        return await inSpan(span, () => run({ place, open: ready, caller, signal, now, ulids, quota }))
      } catch (cause: unknown) {
        if (cause instanceof HandlerError || signal.aborted) throw cause
        // A system error's message contains the path, and the path contains a title.
        const code = errnoOf(cause)
        log.error(
          { event: 'zettel_storage_failed', ...(code === undefined ? { err: cause } : { code }) },
          'storage failed',
        )
        if (open !== undefined) await place.failed(open, cause)
        throw storageFailure(cause)
      }
    }

    function report(scan: Scan): void {
      log[scan.unreadable > 0 ? 'warn' : 'debug']({ event: 'zettel_files_scanned', ...scan }, 'zettel files scanned')
    }
  }
}
