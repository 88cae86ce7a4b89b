// The records that the audit log writes about itself.
import { isoTime } from '../../core/iso-time.ts'
import type { SegmentReason } from '../../core/segment-reason.ts'
import type { Head } from '../../audit/chain.ts'
import type { AuditEvent } from '../../audit/event.ts'
import type { Outage } from './health.ts'

export function openedEvent(reason: SegmentReason, { seq, hash }: Head, nowMs: number): AuditEvent {
  const timestamp = isoTime(nowMs)
  return { event: 'audit_segment_opened', timestamp, reason, previous_seq: seq, previous_hash: hash }
}

export function recoveredEvent({ reason, sinceMs, refused }: Outage, nowMs: number): AuditEvent {
  return { event: 'audit_recovered', timestamp: isoTime(nowMs), reason, since: isoTime(sinceMs), refused }
}

export function steppedEvent(stepMs: number, nowMs: number): AuditEvent {
  return { event: 'clock_stepped', timestamp: isoTime(nowMs), step_ms: stepMs }
}
