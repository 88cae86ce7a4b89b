// Makes audit logs as controllers of several processes write them in years: segments of two slots, closed ones compressed.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { GENESIS, sealRecord, type Head } from '../../src/audit/chain.ts'
import type {
  AuditEvent,
  PolicyDecisionEvent,
  RouteOutcomeEvent,
  WorkerRegistrationEvent,
} from '../../src/audit/event.ts'
import { recordText } from '../../src/audit/hot-records.ts'
import { compressedFile, segmentFile, slotFolder } from '../../src/audit/places.ts'
import { compressFrame, FRAME_BYTES, seekTable, type Frame } from '../../src/audit/seekable.ts'
import { randomHex, uuidv7 } from '../../src/core/ids.ts'
import { isoTime } from '../../src/core/iso-time.ts'

type LogOptions = {
  readonly auditDir: string
  readonly slot: number
  readonly records: number
  readonly segmentBytes: number
  readonly startMs: number
  /** Between two calls. */
  readonly everyMs: number
  readonly compress: boolean
}

const CALLERS = 200
const CAPABILITIES = 40
const WORKERS = 12
/** An outcome comes behind the decisions of the calls that were made meanwhile. */
const CALLS_AT_A_TIME = 20

/**
 * 3 % of the calls are denied and 2 % would be; of those that pass, 1 % time out and 2 % end with 503. No call that would be
 * denied times out, so that both are common alone and never together.
 */
export function makeLog(options: LogOptions): void {
  const { auditDir, slot, records, startMs, everyMs } = options
  const writer = createSegmentWriter(slotFolder(auditDir, slot), options)
  const waiting: RouteOutcomeEvent[] = []
  let atMs = startMs
  for (let worker = 0; worker < WORKERS; worker++) writer.write(registration(worker, atMs))
  for (let count = 0; writer.records() < records; count++) {
    atMs = startMs + Math.floor(count * everyMs)
    const decision = decisionOf(count, atMs)
    writer.write(decision)
    if (decision.decision !== 'deny') waiting.push(outcomeOf(decision, count, atMs))
    if (waiting.length > CALLS_AT_A_TIME) {
      const outcome = waiting.shift()
      if (outcome !== undefined) writer.write(outcome)
    }
  }
  for (const outcome of waiting) writer.write(outcome)
  writer.close()
}

function decisionOf(count: number, atMs: number): PolicyDecisionEvent {
  const caller = count % CALLERS
  const requester = `spiffe://crank.local/worker/caller-${caller}`
  const capability = `convert:capability_${(caller + (count % 5)) % CAPABILITIES}`
  const dice = (count * 7919) % 100
  const decision = dice < 3 ? 'deny' : dice < 5 ? 'would_deny' : 'allow'
  const isAllowed = decision === 'allow'
  const message = `Worker ${requester} not authorized for capability ${capability}`
  return {
    event: 'policy_decision',
    timestamp: isoTime(atMs),
    decision_id: uuidv7(atMs),
    trace_id: randomHex(16),
    span_id: randomHex(8),
    requester_spiffe_id: requester,
    capability,
    decision,
    mode: decision === 'would_deny' ? 'shadow' : 'enforce',
    reasons: isAllowed ? [] : [{ code: 'capability_not_declared', message }],
    grounds: isAllowed ? ['declared'] : [],
    exception: null,
    policy_version: '1.0.0',
    policy_revision: '0123456789ab',
    engine: 'opa-wasm',
    evaluation_time_ms: (count % 300) / 1000,
    error: null,
    now_ns: `${atMs}000000`,
    source: 'controller',
    priority: 'normal',
    origin: requester,
    depth: 0,
    on_behalf_of: null,
    priority_requested: null,
    route: '/route',
    idempotency_key_present: false,
    retry_of: null,
    repeats: null,
  }
}

function outcomeOf(call: PolicyDecisionEvent, count: number, atMs: number): RouteOutcomeEvent {
  const dice = call.decision === 'would_deny' ? 50 : (Math.floor(count / 7) * 31) % 100
  const [outcome, status, error] =
    dice < 1
      ? (['timeout', 504, 'worker_timeout'] as const)
      : dice < 3
        ? (['worker_failed', 503, 'worker_busy'] as const)
        : (['completed', 200, null] as const)
  return {
    event: 'route_outcome',
    timestamp: isoTime(atMs + 4),
    decision_id: call.decision_id,
    trace_id: call.trace_id,
    span_id: call.span_id,
    requester_spiffe_id: call.requester_spiffe_id,
    capability: call.capability,
    worker_id: `worker-${count % WORKERS}`,
    status,
    outcome,
    error,
    duration_ms: 4.2 + (count % 1000) / 1000,
    attempts: 1,
    attempts_made: null,
    idempotency: null,
    original_decision_id: null,
  }
}

function registration(worker: number, atMs: number): WorkerRegistrationEvent {
  const call = decisionOf(50, atMs)
  return {
    event: 'worker_registration',
    timestamp: call.timestamp,
    decision_id: call.decision_id,
    trace_id: call.trace_id,
    span_id: call.span_id,
    requester_spiffe_id: `spiffe://crank.local/worker/provider-${worker}`,
    worker_id: `worker-${worker}`,
    worker_url: `https://127.0.0.1:${9100 + worker}`,
    capabilities: Array.from({ length: 5 }, (_, at) => `convert:capability_${worker + at}`),
    decision: call.decision,
    mode: call.mode,
    reasons: call.reasons,
    grounds: call.grounds,
    exception: call.exception,
    policy_version: call.policy_version,
    policy_revision: call.policy_revision,
    engine: call.engine,
    evaluation_time_ms: call.evaluation_time_ms,
    error: call.error,
    now_ns: call.now_ns,
    source: call.source,
    priority: call.priority,
    origin: call.origin,
    depth: call.depth,
    on_behalf_of: call.on_behalf_of,
  }
}

function createSegmentWriter(folder: string, { segmentBytes, compress }: LogOptions) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  let head: Head = GENESIS
  let bytes = 0
  let out: SegmentOut | undefined
  return {
    records: () => head.seq,
    write(event: AuditEvent): void {
      if (bytes > segmentBytes) next(event.timestamp)
      append(event)
    },
    close(): void {
      out?.close()
    },
  }

  function next(timestamp: string): void {
    out?.close()
    out = undefined
    bytes = 0
    append({
      event: 'audit_segment_opened',
      timestamp,
      reason: 'renamed',
      previous_seq: head.seq,
      previous_hash: head.hash,
    })
  }

  function append(event: AuditEvent): void {
    out ??= openOut(segmentFile(folder, head.seq + 1), compress)
    const sealed = sealRecord(head, recordText(event))
    head = sealed.head
    bytes += sealed.line.length
    out.write(sealed.line)
  }
}

type SegmentOut = { readonly write: (line: string) => void; readonly close: () => void }

/** In parts of a frame. */
function openOut(file: string, compress: boolean): SegmentOut {
  const descriptor = openSync(compress ? compressedFile(file) : file, 'w', 0o600)
  const frames: Pick<Frame, 'bytes' | 'contentBytes'>[] = []
  let text = ''
  return {
    write(line) {
      if (text.length + line.length > FRAME_BYTES) flush()
      text += line
    },
    close() {
      flush()
      if (compress) writeSync(descriptor, seekTable(frames))
      closeSync(descriptor)
    },
  }

  function flush(): void {
    const content = Buffer.from(text, 'latin1')
    const bytes = compress ? compressFrame(content) : content
    frames.push({ bytes: bytes.length, contentBytes: content.length })
    writeSync(descriptor, bytes)
    text = ''
  }
}
