// On the path of every call. Leaves the sentences of reasons out of audit records, where the policy data says so: they are free
// text, and a policy may put anything into them. The codes stay, by which every reader of records compares.
import type { AuditEvent } from '../../audit/event.ts'

type Append = (event: AuditEvent) => Promise<void>

const MASKED = 'masked'

/** `isOn` is read for each record. The answer to the caller and the log line are not changed. */
export function maskingReasons(append: Append, isOn: () => boolean): Append {
  return (event) => append(isOn() ? masked(event) : event)
}

function masked(event: AuditEvent): AuditEvent {
  if (!('reasons' in event) || event.reasons.length === 0) return event
  return { ...event, reasons: event.reasons.map(({ code }) => ({ code, message: MASKED })) }
}
