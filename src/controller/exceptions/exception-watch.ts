// What is known of the exceptions in force beside the decisions themselves: how often each was used and when last, and a
// word in time before it ends. Counts are of this process; the audit log has all of them.
import { isoTime } from '../../core/iso-time.ts'
import type { PolicyLog } from '../live-policy/guard.ts'
import { NS_PER_MS, type ExceptionEntry } from '../../policy/data/exceptions.ts'

/** One exception with its use. Times in Unix ms. */
export type ExceptionUse = {
  readonly entry: ExceptionEntry
  readonly expiresMs: number
  readonly uses: number
  readonly lastUsedMs: number | undefined
}

export type ExceptionWatch = {
  /** The exceptions of another policy; what is known of those that stay is kept. */
  readonly follow: (entries: readonly ExceptionEntry[]) => void
  /** An exception let a call pass. */
  readonly used: (name: string) => void
  readonly list: () => readonly ExceptionUse[]
  /** Unix ms since when uses are counted. */
  readonly sinceMs: number
  readonly close: () => void
}

type ExceptionWatchOptions = {
  readonly log: PolicyLog
  /** Unix ms. */
  readonly now: () => number
  /** With the stand-in of the exception's name. */
  readonly onUsed?: (id: string) => void
  readonly lookMs?: number
}

type State = { entry: ExceptionEntry; uses: number; lastUsedMs: number | undefined; warned: number }

const DAY_MS = 86_400_000
/** Days before the end at which it is said once each; 0: that it is over. */
const WARNINGS = [7, 1, 0]
const LOOK_MS = 60_000

/** Looks at the clock every minute, and at once when exceptions are given. */
export function createExceptionWatch(options: ExceptionWatchOptions): ExceptionWatch {
  const { log, now, onUsed } = options
  const sinceMs = now()
  let states = new Map<string, State>()

  const look = (): void => {
    for (const state of states.values()) warn(log, state, now())
  }
  const timer = setInterval(look, options.lookMs ?? LOOK_MS).unref()
  return {
    follow(entries) {
      states = new Map(entries.map((entry) => [entry.name, stateOf(entry, states.get(entry.name), now())]))
      look()
    },
    used(name) {
      const state = states.get(name)
      // The policy is not in force any more.
      if (state === undefined) return
      state.uses += 1
      state.lastUsedMs = now()
      onUsed?.(state.entry.id)
    },
    list: () =>
      [...states.values()].map(({ entry, uses, lastUsedMs }) => {
        return { entry, expiresMs: expiresMs(entry), uses, lastUsedMs }
      }),
    sinceMs,
    close: () => clearInterval(timer),
  }
}

/** `warned`: the days that were told already. One that is over when it is first seen is not told of: it is no news. */
function stateOf(entry: ExceptionEntry, known: State | undefined, nowMs: number): State {
  const { uses = 0, lastUsedMs } = known ?? {}
  if (known?.entry.expiresAfterNs === entry.expiresAfterNs) return { ...known, entry }
  return { entry, uses, lastUsedMs, warned: expiresMs(entry) <= nowMs ? 0 : Infinity }
}

function warn(log: PolicyLog, state: State, nowMs: number): void {
  const { entry, uses } = state
  const leftMs = expiresMs(entry) - nowMs
  const due = WARNINGS.findLast((days) => leftMs <= days * DAY_MS)
  if (due === undefined || due >= state.warned) return
  state.warned = due
  const expiresAt = isoTime(expiresMs(entry))
  const fields = { exception: entry.name, exception_id: entry.id, owner: entry.owner, expires_at: expiresAt, uses }
  if (due === 0) log.warn({ event: 'exception_expired', ...fields }, 'an exception is over')
  else log.warn({ event: 'exception_expiring', ...fields, days_left: due }, 'an exception ends soon')
}

/** The first whole millisecond at which it is over. */
function expiresMs({ expiresAfterNs }: ExceptionEntry): number {
  return Number((expiresAfterNs + NS_PER_MS - 1n) / NS_PER_MS)
}
