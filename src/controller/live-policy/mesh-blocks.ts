// Blocks of the mesh beside those of the folder. A block is in force at once, before its record: it waits for nothing. A lifted one
// goes on until its record is durable. The engine knows nothing of them: the controller's own list refuses (policy/brake.ts).
import { setTimeout as delay } from 'node:timers/promises'
import { createListeners } from '../../platform/listeners.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import {
  blockedBy,
  blockKey,
  encodeBlock,
  unionOf,
  type BlockEntry,
  type BlockSource,
} from '../../policy/data/block-entry.ts'
import type { Blocked } from '../../policy/data/blocked.ts'
import { withBlocked, type PolicyFiles } from '../../policy/data/policy-files.ts'
import type { PolicyLog } from './guard.ts'
import type { PolicyNote } from './policy-notes.ts'

/** A word about a block that has come into force. `sign`: `+` new, `-` lifted, `~` by somebody else or for another reason. */
export type BlockChange = { readonly sign: '+' | '-' | '~'; readonly entry: BlockEntry }

type MeshBlocksOptions = {
  /** Undefined: there is no mesh. */
  readonly source: BlockSource | undefined
  /** Makes the record durable; rejects when it cannot be written. */
  readonly record: (change: BlockChange) => Promise<void>
  readonly log: PolicyLog
}

export type MeshBlocks = {
  /** What the mesh blocks. */
  readonly blocked: () => Blocked
  /** These files with the blocks of the mesh among theirs. */
  readonly over: (files: PolicyFiles) => PolicyFiles
  /** Why no decision may be made: the list was never known. */
  readonly obstacle: () => string | undefined
  readonly notes: () => readonly PolicyNote[]
  /** Called with what was in force before; the returned function unsubscribes. */
  readonly onChange: (listener: (before: Blocked) => void) => () => void
  readonly close: () => void
}

const UNKNOWN =
  'the block list of the mesh is not known: the shared store is away, and there is none in the state folder; check NATS'
const LAST_KNOWN = 'the shared store is away: the last known block list of the mesh is in force'
const RETRY_MS = 500

export function createMeshBlocks({ source, record, log }: MeshBlocksOptions): MeshBlocks {
  const closing = new AbortController()
  const listeners = createListeners<[Blocked]>((cause) =>
    log.error({ event: 'policy_listener_failed', detail: String(cause) }, 'a listener for blocks of the mesh failed'),
  )
  const known = (): readonly BlockEntry[] => source?.known().entries ?? []
  let recorded = byKey(known())
  let blocked = blockedBy(known())

  /** What is recorded counts until its end is recorded, and what is known counts at once. */
  function refresh(): void {
    const before = blocked
    blocked = unionOf(blockedBy(recorded.values()), blockedBy(known()))
    if (!isSame(before, blocked)) listeners.notify(before)
  }

  const recorder = createRecorder({
    record,
    log,
    signal: closing.signal,
    next: () => byKey(known()),
    recorded: () => recorded,
    onRecorded(next) {
      recorded = next
      refresh()
    },
  })
  const end = source?.onChange(() => {
    refresh()
    recorder.wake()
  })
  return {
    blocked: () => blocked,
    over: createOver(() => blocked),
    obstacle: () => (source !== undefined && source.known().entries === undefined ? UNKNOWN : undefined),
    notes: () =>
      source === undefined || source.known().isCurrent ? [] : [{ cause: 'mesh_blocks', reason: LAST_KNOWN }],
    onChange: listeners.add,
    close() {
      end?.()
      closing.abort()
    },
  }
}

type Words = ReadonlyMap<string, BlockEntry>
type RecorderOptions = Pick<MeshBlocksOptions, 'record' | 'log'> & {
  readonly signal: AbortSignal
  readonly next: () => Words
  readonly recorded: () => Words
  readonly onRecorded: (words: Words) => void
}

/** Records the difference between what is recorded and what is known, and tries again until it is. */
function createRecorder({ record, log, signal, next, recorded, onRecorded }: RecorderOptions) {
  const fault = createReportedFault()
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    for (;;) {
      const words = next()
      const changes = changesOf(recorded(), words)
      if (changes.length === 0 || signal.aborted) return
      try {
        for (const change of changes) await record(change)
        fault.end()
        for (const change of changes) say(change)
        onRecorded(words)
      } catch (cause: unknown) {
        const reason = String(cause)
        const message = 'a change of the blocks of the mesh cannot be recorded; new blocks and lifted ones are in force'
        if (fault.isNews(reason)) log.error({ event: 'mesh_blocks_unrecorded', reason }, message)
        await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }

  function say({ sign, entry: { section, name, by, at, reason } }: BlockChange): void {
    const who = { requested_by: by, requested_at: at, reason }
    log.info(
      { event: 'block_changed', names: [`${sign}${name}`], section, ...who },
      'the block list of the mesh has changed',
    )
  }

  return {
    wake(): void {
      running ??= run().finally(() => (running = undefined))
    },
  }
}

/** The files are asked for with every request: the union is made once per change. */
function createOver(blocked: () => Blocked): MeshBlocks['over'] {
  let of: { readonly files: PolicyFiles; readonly blocked: Blocked; readonly united: PolicyFiles } | undefined
  return (files) => {
    const mesh = blocked()
    if (mesh.identities.size + mesh.capabilities.size + mesh.certificates.size === 0) return files
    if (of?.files !== files || of.blocked !== mesh) {
      of = { files, blocked: mesh, united: withBlocked(files, unionOf(files.blocked, mesh)) }
    }
    return of.united
  }
}

function changesOf(before: Words, after: Words): BlockChange[] {
  return [...after].flatMap(([key, entry]): BlockChange[] => {
    const old = before.get(key)
    if (old?.isBlocked !== true) return entry.isBlocked ? [{ sign: '+', entry }] : []
    if (!entry.isBlocked) return [{ sign: '-', entry }]
    return encodeBlock(old) === encodeBlock(entry) ? [] : [{ sign: '~', entry }]
  })
}

function byKey(entries: readonly BlockEntry[]): Words {
  return new Map(entries.map((entry) => [blockKey(entry), entry]))
}

function isSame(one: Blocked, other: Blocked): boolean {
  return (['identities', 'capabilities', 'certificates'] as const).every(
    (section) => one[section].size === other[section].size && one[section].isSubsetOf(other[section]),
  )
}
