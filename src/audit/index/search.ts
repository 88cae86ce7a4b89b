// Searches the audit logs of all slots by their indexes. What it gives are lines of the segments, checked against their own hash
// and against the query: an index only says where to look.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OnDamaged } from '../damage.ts'
import { mergeByTime } from '../merge.ts'
import type { AuditChain } from '../places.ts'
import type { AuditRecord } from '../reader.ts'
import { recordsOfDecision } from './calls.ts'
import { hitsIn, type AuditHit, type Position } from './hits.ts'
import { OpenChain } from './open-chain.ts'
import type { Indexing } from './open-segment.ts'
import type { Order } from './segment-index.ts'
import type { AuditQuery } from './traits.ts'

/** Where a page ended in each chain, by slot. */
export type Cursor = ReadonlyMap<number | null, Position>

/** `next`: where the next page begins; undefined after the last one. */
export type AuditPage = { readonly hits: readonly AuditHit[]; readonly next: Cursor | undefined }

type PageOptions = { readonly order: Order; readonly limit: number; readonly after?: Cursor | undefined }

export type AuditSearch = AsyncDisposable & {
  /** The records of a decision: its own, and the outcome of its call. */
  readonly ofDecision: (id: string) => Promise<AuditRecord[]>
  /** All records of a trace, by time. */
  readonly ofTrace: (id: string) => Promise<AuditRecord[]>
  readonly page: (query: AuditQuery, options: PageOptions) => Promise<AuditPage>
}

type SearchOptions = {
  /** Told while an index is made. */
  readonly onIndexing?: (indexing: Indexing) => void
  /** Everything is read from the segments: slow, and independent of what may have happened to an index. */
  readonly ignoresIndexes?: boolean
  /** Told instead of rejecting, once a segment or more often: the search goes on with the others. */
  readonly onDamaged?: OnDamaged | undefined
}

/** Its methods reject as those of the readers do, and with SQLite's errors. */
export function createAuditSearch(chains: readonly AuditChain[], options: SearchOptions = {}): AuditSearch {
  const { onIndexing = () => undefined, ignoresIndexes = false, onDamaged } = options
  const temporary = createTemporaryFolder()
  const chainOptions = { temporaryFolder: temporary.path, onIndexing, ignoresIndexes, onDamaged }
  const opened = chains.map((chain) => new OpenChain(chain, chainOptions))
  return {
    ofDecision: (id) => recordsOfDecision(opened, id.toLowerCase()),
    ofTrace: (id) => recordsOfTrace(opened, id.toLowerCase()),
    page: (query, options) => pageOf(opened, query, options),
    async [Symbol.asyncDispose]() {
      for (const chain of opened) await chain.close()
      temporary.remove()
    },
  }
}

async function recordsOfTrace(chains: readonly OpenChain[], id: string): Promise<AuditRecord[]> {
  const found: AuditRecord[] = []
  for await (const record of mergeByTime(chains.map((chain) => inChain(chain, id)))) found.push(record)
  return found
}

/** A trace has no time, and may go on in every segment. */
async function* inChain(chain: OpenChain, id: string): AsyncGenerator<AuditRecord, void> {
  for (let at = 0; at < chain.length; at++) yield* await chain.withId(at, 'trace_id', id)
}

async function pageOf(
  chains: readonly OpenChain[],
  query: AuditQuery,
  { order, limit, after }: PageOptions,
): Promise<AuditPage> {
  const sources = chains.map((chain) => hitsIn(chain, query, { order, after: after?.get(chain.chain.slot) }))
  const next = new Map(after)
  const hits: AuditHit[] = []
  for await (const hit of mergeByTime(sources, order)) {
    if (hits.length === limit) return { hits, next }
    hits.push(hit)
    next.set(hit.slot, hit.position)
  }
  return { hits, next: undefined }
}

function createTemporaryFolder(): { readonly path: () => string; readonly remove: () => void } {
  let path: string | undefined
  return {
    path: () => (path ??= mkdtempSync(join(tmpdir(), 'crank-audit-index-'))),
    remove: () => {
      if (path !== undefined) rmSync(path, { recursive: true, force: true })
    },
  }
}
