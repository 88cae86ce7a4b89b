// Tracks the exceptions in force: how often each was used and when last, and a warning
// before it ends. The counts are of this process only; the audit log has every use.
import { isoTime } from '../../core/iso-time.ts'
import type { PolicyLog } from '../live-policy/guard.ts'
import { NS_PER_MS, type ExceptionEntry } from '../../policy/data/exception-entries.ts'

/** One exception with its use. Times in Unix ms. */
export type ExceptionUse = {
  readonly entry: ExceptionEntry
  readonly expiresMs: number
  readonly uses: number
  readonly lastUsedMs: number | undefined
}

export type ExceptionWatch = {
  /** Replaces the exceptions after a policy change; keeps the counts of those that stay. */
  readonly follow: (entries: readonly ExceptionEntry[]) => void
  /** Counts a call that an exception let pass. */
  readonly used: (name: string) => void
  readonly list: () => readonly ExceptionUse[]
  /** Unix ms of the start of the counts. */
  readonly sinceMs: number
  readonly close: () => void
}

type ExceptionWatchOptions = {
  readonly log: PolicyLog
  /** Unix ms. */
  readonly now: () => number
  /** Called with the short id of the exception. */
  readonly onUsed?: (id: string) => void
  readonly lookMs?: number
}

type State = { entry: ExceptionEntry; uses: number; lastUsedMs: number | undefined; warned: number }

const DAY_MS = 86_400_000
/** A warning is logged once each, this many days before the end; 0: that the exception has expired. */
const WARNINGS = [7, 1, 0]
const LOOK_MS = 60_000

/** Checks every minute, and at once when the exceptions change. */
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
      // The policy with this exception is no longer in force.
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

/** `warned`: the last warning that was logged. An exception that has expired when it is first seen is not reported. */
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
  if (due === 0) log.warn({ event: 'exception_expired', ...fields }, 'an exception has expired')
  else log.warn({ event: 'exception_expiring', ...fields, days_left: due }, 'an exception expires soon')
}

/** The first whole millisecond at which the exception has expired. */
function expiresMs({ expiresAfterNs }: ExceptionEntry): number {
  return Number((expiresAfterNs + NS_PER_MS - 1n) / NS_PER_MS)
}
