// The block list of the mesh, as this controller knows it. Only the word of an operator lifts a block: while the store is away,
// after a restart, and when the store has lost an entry, the last known list stays in force.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { createListeners } from '../../platform/listeners.ts'
import type { Logger } from '../../platform/logger.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import {
  blockKey,
  decodeBlock,
  encodeBlock,
  type BlockEntry,
  type BlockSource,
  type KnownBlocks,
} from '../../policy/data/block-entry.ts'
import { viewBucket } from './bucket-view.ts'
import type { StoreLink, StoreSession, StoreView } from '../store/store-link.ts'

type BlockListOptions = {
  readonly link: Pick<StoreLink, 'join'>
  /** Where the list is kept for a start without the store. */
  readonly file: string
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
}

type BlockList = BlockSource & {
  /** Resolves when the first view of the store is complete; after `ms` at the latest. */
  readonly viewed: (ms: number) => Promise<void>
  /** Resolves when the file has the list. */
  readonly close: () => Promise<void>
}

const validator = Compile(Type.Object({ v: Type.Literal(1), entries: Type.Record(Type.String(), Type.Unknown()) }))
/** A link that blinks is not away. */
const AWAY_MS = 3000

/** Never rejects: a file that cannot be used is reported, and then no list is known until the store is there. */
export async function openBlockList({ link, file, log }: BlockListOptions): Promise<BlockList> {
  const kept = await readKept(file, log)
  const listeners = createListeners<[]>((err) =>
    log.error({ event: 'mesh_blocks_failed', err }, 'the block list of the mesh could not be handed on'),
  )
  const writer = createWriter(file, log, () => words.entries())
  const first = Promise.withResolvers<true>()
  let known: KnownBlocks = { entries: kept, isCurrent: false }
  let awayTimer: NodeJS.Timeout | undefined
  const words = createWords(kept ?? [], log, () => {
    writer.changed()
    tell(known.isCurrent)
  })

  /** What is known, or whether it is current, has changed. Part of a first view is not known yet. */
  function tell(isCurrent: boolean): void {
    known = { entries: known.entries === undefined && !isCurrent ? undefined : words.entries(), isCurrent }
    listeners.notify()
  }

  async function follow(session: StoreSession): Promise<StoreView> {
    const view = await viewBucket({ session, bucket: session.blocks, onEntry: words.heard.bind(words) })
    if (!view.isWhole) throw new Error('the block list of the mesh did not come in time')
    words.compare(view.present)
    clearTimeout(awayTimer)
    session.signal.addEventListener('abort', () => {
      awayTimer = setTimeout(() => tell(false), AWAY_MS).unref()
    })
    // Also an empty list is known from now on.
    if (known.entries === undefined) writer.changed()
    if (!known.isCurrent) tell(true)
    first.resolve(true)
    return view
  }

  link.join(follow)
  return {
    known: () => known,
    onChange: listeners.add,
    async viewed(ms) {
      if ((await within(ms, first.promise, { ref: true })) !== true) sayUnconfirmed(known, file, log)
    },
    async close() {
      clearTimeout(awayTimer)
      await writer.settled()
    },
  }
}

function sayUnconfirmed({ entries }: KnownBlocks, file: string, log: BlockListOptions['log']): void {
  const message =
    entries === undefined
      ? 'the store is away and no block list of the mesh is known: no decision is made until it is'
      : 'the store is away: the last known block list of the mesh is in force'
  log.warn({ event: 'mesh_blocks_unconfirmed', file, entries: entries?.length ?? null }, message)
}

/** The last word about each name. None is ever forgotten: only another word changes it. */
function createWords(kept: readonly BlockEntry[], log: BlockListOptions['log'], onChange: () => void) {
  const words = new Map(kept.map((entry) => [blockKey(entry), entry]))
  const odd = createReportedFault()

  function missing(key: string): void {
    const entry = words.get(key)
    if (entry?.isBlocked !== true) return
    const message =
      'the store has lost a block without an unblock; it stays in force here: write it again with crank block; to lift it, crank unblock after that'
    log.error({ event: 'mesh_block_missing', name: entry.name, by: entry.by }, message)
  }

  return {
    entries: (): BlockEntry[] => [...words.values()],
    /** One word of the store; `value` undefined: deleted by hand, or by a limit of the bucket, which is nobody's word. */
    heard(key: string, value: Uint8Array | undefined, revision: number): void {
      try {
        if (value === undefined) {
          missing(key)
          return
        }
        const entry = decodeBlock(key, Buffer.from(value).toString())
        const before = words.get(key)
        if (before !== undefined && encodeBlock(before) === encodeBlock(entry)) return
        words.set(key, entry)
        onChange()
      } catch (cause: unknown) {
        const reason = cause instanceof Error ? cause.message : String(cause)
        const message = 'an entry of the block list of the mesh cannot be used; what was known of it stays in force'
        if (odd.isNews(`${key} ${reason}`)) log.error({ event: 'mesh_block_ignored', key, revision, reason }, message)
      }
    },
    /** After a whole view: reports what the store does not have. */
    compare(present: ReadonlySet<string>): void {
      for (const key of words.keys()) if (!present.has(key)) missing(key)
    },
  }
}

/** Undefined: there is none that can be used. */
async function readKept(file: string, log: BlockListOptions['log']): Promise<readonly BlockEntry[] | undefined> {
  try {
    const stored: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (!validator.Check(stored)) throw new Error('it is not a block list of version 1')
    return Object.entries(stored.entries).map(([key, entry]) => decodeBlock(key, JSON.stringify(entry)))
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = 'the block list of the mesh on disk cannot be used; no decision is made until the store is there'
    log.error({ event: 'mesh_blocks_file_ignored', file, reason }, message)
    return undefined
  }
}

/** One write at a time, each with all that is known then. A failure is reported: the list in force does not depend on it. */
function createWriter(file: string, log: BlockListOptions['log'], entries: () => readonly BlockEntry[]) {
  const fault = createReportedFault()
  let isDue = false
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    // After this turn: a view is many changes.
    await new Promise(setImmediate)
    while (isDue) {
      isDue = false
      try {
        const lines = entries().map((entry) => `"${blockKey(entry)}":${encodeBlock(entry)}`)
        await mkdir(dirname(file), { recursive: true, mode: 0o700 })
        await replaceFile(file, `{"v":1,"entries":{${lines.join(',\n')}}}\n`, 0o600)
        fault.end()
      } catch (cause: unknown) {
        // An old file could lack a block, and nobody would know: none is better. Removing works on a full disk too.
        await rm(file, { force: true }).catch(() => undefined)
        const reason = cause instanceof Error ? cause.message : String(cause)
        const message =
          'the block list of the mesh cannot be kept; after a start without the store no decision would be made'
        const kind = (cause as NodeJS.ErrnoException).code ?? reason
        if (fault.isNews(kind)) log.error({ event: 'mesh_blocks_file_failed', file, reason }, message)
      }
    }
    running = undefined
  }

  return {
    changed(): void {
      isDue = true
      running ??= run()
    },
    settled: async (): Promise<void> => running,
  }
}
