// What workers and controller send each other, as TypeBox schemas (JSON Schema), and the names of the headers.
// docs/worker-protocol.md describes it in prose. Every object is closed: an unknown member is refused, not ignored.
import Type from 'typebox'
import type { Static, TProperties, TSchema } from 'typebox'
import { CAPABILITY_WORD } from './capability.ts'
import { IDEMPOTENCY_KEY } from './idempotency-key.ts'
import { STATE_CAUSES, WORKER_STATES } from './worker-health.ts'

/** Header names, in lower case as Node reports them. */
export const HEADERS = {
  /** controller -> worker */
  capability: 'x-crank-capability',
  caller: 'x-crank-caller',
  crankDecisionId: 'x-crank-decision-id',
  deadlineMs: 'x-crank-deadline-ms',
  /** controller -> worker, and back on the calls that the worker makes on behalf of this one */
  chain: 'x-crank-chain',
  /** controller -> caller */
  workerId: 'x-worker-id',
  decisionId: 'x-decision-id',
  traceId: 'x-trace-id',
  /** `would_deny` or `unevaluated`, on the answer to a call that passed only because of shadow mode */
  shadow: 'x-crank-shadow',
  /** `true` on a stored answer, with the decision id of the call that a worker executed */
  idempotentReplayed: 'idempotent-replayed',
  originalDecisionId: 'x-original-decision-id',
  /** caller -> controller; idempotency-key also controller -> worker, the other two only for calls with a raw body */
  idempotencyKey: 'idempotency-key',
  priority: 'x-crank-priority',
  timeoutMs: 'x-crank-timeout-ms',
  version: 'x-crank-version',
  prefer: 'x-crank-prefer',
  require: 'x-crank-require',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  /** caller -> controller -> worker: where to resume a broken event stream */
  lastEventId: 'last-event-id',
} as const

/** How many missed heartbeats until a worker gets no more calls, and until its registration is removed. */
export const STALE_AFTER_MISSED = 3
export const REMOVED_AFTER_MISSED = 12

export const DEFAULT_TIMEOUT_MS = 30_000
export const MAX_TIMEOUT_MS = 300_000

/** The expression that https://semver.org suggests. */
const SEMVER =
  '^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(-((0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(\\+([0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*))?$'
/** The manifest's id, with `.<instance>` for a replica. */
export const WORKER_ID = '^[A-Za-z0-9_-]{1,64}(\\.[A-Za-z0-9-]{1,64})?$'
/** The key or the value of a label. */
export const LABEL_WORD = '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$'
export const MAX_LABELS = 16
const MAX_WEIGHT = 100
/** The characters of a version constraint; its grammar is npm's. */
export const VERSION_RANGE = '^[\\x20-\\x7e]{1,128}$'
const ERROR_CODE = '^[A-Za-z][A-Za-z0-9_]{0,63}$'

const word = Type.String({ pattern: CAPABILITY_WORD })
const capabilityName = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}:[a-z][a-z0-9_]{0,63}$' })
const semver = Type.String({ pattern: SEMVER, maxLength: 64 })
const workerId = Type.String({ pattern: WORKER_ID })
const lease = Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$' })
const sentence = Type.String({ minLength: 1, maxLength: 1024 })
const count = Type.Integer({ minimum: 0 })
/** Labels of a worker, or labels that a call asks for. */
const labels = Type.Unsafe<Record<string, string>>({
  type: 'object',
  propertyNames: { pattern: LABEL_WORD },
  additionalProperties: { type: 'string', pattern: LABEL_WORD },
  maxProperties: MAX_LABELS,
})
const weight = Type.Integer({ minimum: 1, maximum: MAX_WEIGHT })
const ms = Type.Number({ exclusiveMinimum: 0 })

const PriorityName = Type.Union([Type.Literal('low'), Type.Literal('normal'), Type.Literal('high')])

/** POST /route. `payload` is any JSON value; absent, the worker gets `null`. */
export type RouteBody = Static<typeof RouteBody>
export const RouteBody = closed({
  verb: word,
  capability: word,
  payload: Type.Optional(Type.Unknown()),
  idempotency_key: Type.Optional(Type.String({ pattern: IDEMPOTENCY_KEY })),
  priority: Type.Optional(PriorityName),
  timeout_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_TIMEOUT_MS })),
  /** Only a provider whose version satisfies this constraint. */
  version: Type.Optional(Type.String({ pattern: VERSION_RANGE })),
  /** Providers with these labels first; only providers with these labels. */
  prefer: Type.Optional(labels),
  require: Type.Optional(labels),
})

/** An error code that a capability may answer with. The controller forwards declared codes only. */
type ErrorCodeSchema = Static<typeof ErrorCodeSchema>
const ErrorCodeSchema = closed({
  code: Type.String({ pattern: ERROR_CODE }),
  description: sentence,
  retryable: Type.Boolean(),
})

/** Response times the worker promises, in milliseconds from request to first byte. */
type SloSchema = Static<typeof SloSchema>
const SloSchema = closed(
  { p50_ms: Type.Optional(ms), p95_ms: Type.Optional(ms), p99_ms: Type.Optional(ms) },
  { minProperties: 1 },
)

/** A JSON Schema as data: other keywords are allowed, but `type` is required. */
type JsonSchema = Static<typeof JsonSchema>
const JsonSchema = Type.Object(
  { type: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })]) },
  { additionalProperties: true },
)

/** A worker's declaration of a capability. `streaming`: it answers with an event stream, and `output_schema` is for one event. */
export type CapabilitySchema = Static<typeof CapabilitySchema>
export const CapabilitySchema = closed({
  verb: word,
  name: word,
  version: semver,
  description: Type.Optional(sentence),
  input_schema: JsonSchema,
  output_schema: JsonSchema,
  error_codes: Type.Optional(Type.Array(ErrorCodeSchema, { maxItems: 64 })),
  max_concurrency: Type.Optional(Type.Integer({ minimum: 1 })),
  requires_gpu: Type.Optional(Type.Boolean()),
  slo: Type.Optional(SloSchema),
  tags: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 32 })),
  estimated_duration_ms: Type.Optional(ms),
  streaming: Type.Optional(Type.Boolean()),
  /** A call that failed may be sent again under the same idempotency key. */
  retry_safe: Type.Optional(Type.Boolean()),
})

/** What the choice of a worker depends on: its labels, and its part of the calls in relation to other workers. */
const placing = { labels: Type.Optional(labels), weight: Type.Optional(weight) }
export const WorkerPlacing = closed(placing)

/** POST /register */
export type RegisterBody = Static<typeof RegisterBody>
export const RegisterBody = closed({
  worker_id: workerId,
  worker_url: Type.String({ minLength: 1, maxLength: 2048 }),
  capabilities: Type.Array(CapabilitySchema, { minItems: 1, maxItems: 64 }),
  ...placing,
})
/** `capabilities_registered` is their number; `lease` proves ownership in /heartbeat and /deregister. */
export type RegisterReply = Static<typeof RegisterReply>
export const RegisterReply = closed({
  status: Type.Literal('registered'),
  worker_id: workerId,
  capabilities_registered: count,
  lease,
  heartbeat_interval_ms: Type.Integer({ minimum: 1 }),
})

/** POST /heartbeat. `load`: calls in flight. */
export type HeartbeatBody = Static<typeof HeartbeatBody>
export const HeartbeatBody = closed({ worker_id: workerId, lease, load: Type.Optional(count) })
/**
 * `timestamp`: the controller's clock, RFC 3339. `mesh`: `away` while the controller cannot tell the other controllers of its
 * mesh about heartbeats; absent, there is nothing to tell.
 */
export type HeartbeatReply = Static<typeof HeartbeatReply>
export const HeartbeatReply = closed({
  status: Type.Literal('acknowledged'),
  timestamp: Type.String(),
  /** Only in a mesh. `away`: other controllers do not hear of this heartbeat; one that another controller gets is heard. */
  mesh: Type.Optional(oneOf(['ok', 'away'])),
})

/** POST /deregister */
export type DeregisterBody = Static<typeof DeregisterBody>
export const DeregisterBody = closed({ worker_id: workerId, lease })
export type DeregisterReply = Static<typeof DeregisterReply>
export const DeregisterReply = closed({ status: Type.Literal('deregistered') })

/** Every error answer of the controller: the members of RFC 9457, and ours. `error` is the stable code, `reason` a sentence. */
export type Problem = Static<typeof Problem>
export const Problem = closed({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String(),
  instance: Type.Optional(Type.String()),
  error: Type.String(),
  reason: Type.String(),
  reason_code: Type.Optional(Type.String()),
  requester: Type.Optional(Type.String()),
  capability: Type.Optional(Type.String()),
  decision_id: Type.String(),
  trace_id: Type.String(),
})

/** A worker's own error answer (status 4xx or 5xx). */
export type WorkerErrorBody = Static<typeof WorkerErrorBody>
export const WorkerErrorBody = closed({
  error: Type.String({ pattern: ERROR_CODE }),
  message: Type.String(),
  retryable: Type.Boolean(),
})

const WorkerState = oneOf(WORKER_STATES)
const StateCause = oneOf(STATE_CAUSES)
/** What the controller knows about a worker: since when, and why. */
const condition = { state: WorkerState, cause: StateCause, since: Type.String() }

/** `worker_url` is filled on the admin listener only. Times are RFC 3339. */
export type WorkerEntry = Static<typeof WorkerEntry>
export const WorkerEntry = closed({
  worker_id: workerId,
  spiffe_id: Type.String(),
  ...condition,
  capabilities: Type.Array(closed({ capability: capabilityName, version: semver })),
  labels,
  weight,
  in_flight: count,
  /** As reported by the worker's last heartbeat. */
  load: Type.Optional(count),
  registered_at: Type.String(),
  last_heartbeat_at: Type.String(),
  worker_url: Type.Optional(Type.String()),
})
/** POST /workers/{id}/drain and /undrain on the admin listener. `reason` is recorded. */
export type DrainBody = Static<typeof DrainBody>
export const DrainBody = closed({ reason: Type.Optional(sentence) })
/** `changed` false: it was so before. `workers`: the registered instances that the id stands for. */
export type DrainReply = Static<typeof DrainReply>
export const DrainReply = closed({
  worker_id: workerId,
  draining: Type.Boolean(),
  changed: Type.Boolean(),
  workers: Type.Array(workerId),
})
export const DrainParams = closed({ id: workerId })
/** POST /audit/rotate on the admin listener. */
export const RotateBody = closed({})
/** `first_seq`: of the new segment of each process; null: it could not begin one. */
export type RotateReply = Static<typeof RotateReply>
export const RotateReply = closed({
  slots: Type.Array(closed({ slot: count, first_seq: Type.Union([count, Type.Null()]) })),
})
/** The end of an audit log, in GET /health. `checkpoint`: the newest one, a signed note if there is a key. */
export type AuditState = Static<typeof AuditState>
export const AuditState = closed({
  seq: count,
  hash: Type.String(),
  checkpoint: Type.Union([Type.String(), Type.Null()]),
})
/** By process. */
export type AuditStates = Static<typeof AuditStates>
export const AuditStates = Type.Array(closed({ slot: count, ...AuditState.properties }))
/** Query of GET /workers and GET /capabilities: at most `limit` (default and maximum 1000) entries after `after`. */
export type CatalogQuery = Static<typeof CatalogQuery>
export const CatalogQuery = closed({
  limit: Type.Optional(Type.String()),
  after: Type.Optional(Type.String({ maxLength: 4096 })),
})
/** The value of `after` for the next page; absent on the last page. */
const next = Type.Optional(Type.String())

/** GET /workers */
export type WorkersReply = Static<typeof WorkersReply>
export const WorkersReply = closed({ workers: Type.Array(WorkerEntry), next })

/** A capability that a worker provides now; `schema` is that of the newest version. */
export type CapabilityEntry = Static<typeof CapabilityEntry>
export const CapabilityEntry = closed({
  capability: capabilityName,
  providers: Type.Array(closed({ worker_id: workerId, spiffe_id: Type.String(), version: semver, ...condition })),
  schema: CapabilitySchema,
})
/** GET /capabilities */
export type CapabilitiesReply = Static<typeof CapabilitiesReply>
export const CapabilitiesReply = closed({ capabilities: Type.Array(CapabilityEntry), next })

function oneOf<T extends string>(words: readonly T[]) {
  return Type.Unsafe<T>({ type: 'string', enum: [...words] })
}

function closed<P extends TProperties>(properties: P, options: { minProperties?: number } = {}) {
  return Type.Object(properties, { ...options, additionalProperties: false })
}

/** The plain JSON of a TypeBox schema, for `input_schema`. @throws when it has no `type`. */
export function toJsonSchema(schema: TSchema): JsonSchema {
  const json = JSON.parse(JSON.stringify(schema)) as Partial<JsonSchema>
  if (json.type === undefined) throw new TypeError('a capability schema must have a "type"')
  return json as JsonSchema
}
