// Refusals have their own budget: strangers, who can send any number of requests, must
// not fill the queue in which the records of authorised calls wait. Beyond the budget
// refusals are only counted, and each second one record per reason has the number.
import { isoTime } from '../../core/iso-time.ts'
import { blockedRequests } from '../../audit/blocked-event.ts'
import type { RefusalEvent } from '../../audit/event.ts'

export type RefusalBudget = {
  /**
   * Records a refusal, or counts it. Never throws and never waits: the peer is refused whether or not the record succeeds.
   * @returns whether it is within the budget; if not, it must not cost a log line either.
   */
  record(event: RefusalEvent): boolean
  /** Writes the refusals that are only counted so far. */
  close(): Promise<void>
}

/** Reasons are a closed set (event and error code, of a block its reason code), so the counters are bounded. */
type Counted = { readonly first: RefusalEvent; count: number }

const WINDOW_MS = 1000

/**
 * `perSecond`: how many individual records per second of `now`. `append`: of the audit log. A refusal whose record could not
 * be written is counted, and reported when the log can be written again.
 */
export function createRefusalBudget(opts: {
  readonly perSecond: number
  readonly append: (event: RefusalEvent) => Promise<void>
  readonly now: () => number
}): RefusalBudget {
  const counted = new Map<string, Counted>()
  let window = 0
  let used = 0
  let timer: NodeJS.Timeout | undefined

  function record(event: RefusalEvent): boolean {
    const current = Math.floor(opts.now() / WINDOW_MS)
    if (current !== window) {
      window = current
      used = 0
    }
    const within = used++ < opts.perSecond
    if (within) void write(event)
    else count(event)
    return within
  }

  function count(event: RefusalEvent): void {
    const reason = event.event === 'policy_decision' ? event.reasons[0]?.code : event.error
    const key = `${event.event} ${reason ?? ''}`
    const entry = counted.get(key)
    if (entry === undefined) counted.set(key, { first: event, count: event.count })
    else entry.count += event.count
    timer ??= setTimeout(() => void writeCounted(), WINDOW_MS).unref()
  }

  async function writeCounted(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const entries = [...counted.values()]
    counted.clear()
    const timestamp = isoTime(opts.now())
    await Promise.all(entries.map((entry) => write(summary(entry, timestamp))))
  }

  async function write(event: RefusalEvent): Promise<void> {
    await opts.append(event).catch(() => count(event))
  }
  return { record, close: writeCounted }
}

/** The summary of the refusals of one second. */
function summary({ first, count }: Counted, timestamp: string): RefusalEvent {
  if (first.event === 'policy_decision') return blockedRequests(first, timestamp, count)
  const common = { timestamp, decision_id: null, trace_id: null, count }
  return first.event === 'request_refused'
    ? { ...first, ...common, requester_spiffe_id: null, reason: null }
    : { ...first, ...common, remote_address: null }
}
