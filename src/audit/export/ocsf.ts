// A record in the Open Cybersecurity Schema Framework 1.8. Classes:
// - API Activity (6003) for decisions, outcomes, registrations, refused requests and evictions. A capability is called as an API
//   is, by one workload and for one call; Authorize Session (3003) is about privileges that a session gets at its login.
// - Authentication (3002) for a peer without an acceptable identity, Network Activity (4001) for a failed handshake.
// - Application Lifecycle (6002) for the controller itself and for the draining of workers.
import {
  codeOf,
  compact,
  domainOf,
  idOf,
  isLetPass,
  messageOf,
  numberOf,
  PRODUCT,
  reasonOf,
  resultOf,
  textOf,
} from './exported.ts'
import type { Exported, ExportedRecord } from './exported.ts'

/** The version of the schema whose classes these are. */
const OCSF_VERSION = '1.8.0'
const API_ACTIVITY = 6003
const LIFECYCLE = 6002
const AUTHENTICATION = 3002
const NETWORK = 4001
const OTHER = 99
const SERVICE_USER = 4
const OTHER_PROTOCOL = 99
const STATUS = { unknown: 0, success: 1, failure: 2 } as const
const [ALLOWED, DENIED] = [1, 2]
const SEVERITY = { informational: 1, low: 2, medium: 3 } as const
/** `class_uid` and `activity_id`. */
const CLASSES: Readonly<Record<string, readonly [classUid: number, activityId: number]>> = {
  policy_decision: [API_ACTIVITY, OTHER],
  route_outcome: [API_ACTIVITY, OTHER],
  request_refused: [API_ACTIVITY, OTHER],
  worker_registration: [API_ACTIVITY, 1],
  worker_evicted: [API_ACTIVITY, 4],
  identity_refused: [AUTHENTICATION, 1],
  handshake_refused: [NETWORK, 5],
  controller_started: [LIFECYCLE, 3],
  controller_stopped: [LIFECYCLE, 4],
  policy_changed: [LIFECYCLE, 8],
  block_changed: [LIFECYCLE, 8],
}
const [ENABLE, DISABLE] = [6, 7]
const VENDOR = 'Crank'
const REGISTER = 'worker_registration'
const EVICTED = 'worker_evicted'
/** Members that have an attribute of their own. */
const ELSEWHERE = new Set([
  'v',
  'seq',
  'event',
  'timestamp',
  'trace_id',
  'requester_spiffe_id',
  'capability',
  'status',
  'count',
])

type Attributes = Readonly<Record<string, unknown>>

export function toOcsf(exported: Exported): Record<string, unknown> {
  const { record } = exported
  const [classUid, activityId] = classOf(record)
  const rest = Object.entries(record).filter(([name]) => !ELSEWHERE.has(name))
  // There, the owner of the worker is not the actor.
  const evicted = record.event === EVICTED ? record['requester_spiffe_id'] : undefined
  return compact({
    ...base(exported, classUid, activityId),
    ...attributesOf(record, classUid),
    unmapped: { ...Object.fromEntries(rest), requester_spiffe_id: evicted, slot: exported.slot },
  })
}

function classOf(record: ExportedRecord): readonly [number, number] {
  if (record.event === 'worker_drain_changed') return [LIFECYCLE, record['draining'] === true ? DISABLE : ENABLE]
  return CLASSES[record.event] ?? [LIFECYCLE, OTHER]
}

function base(exported: Exported, classUid: number, activityId: number): Attributes {
  const { text, record } = exported
  const result = resultOf(record)
  const time = Date.parse(record.timestamp)
  return {
    class_uid: classUid,
    category_uid: Math.floor(classUid / 1000),
    activity_id: activityId,
    activity_name: activityId === OTHER ? record.event : undefined,
    type_uid: classUid * 100 + activityId,
    severity_id: severityOf(record),
    time,
    message: messageOf(record),
    status_id: result === undefined ? undefined : STATUS[result],
    status_code: codeOf(record),
    status_detail: reasonOf(record),
    ...aggregation(record, time),
    metadata: {
      version: OCSF_VERSION,
      product: { name: PRODUCT, vendor_name: VENDOR, version: textOf(record, 'version') },
      profiles: isLetPass(record) === undefined ? undefined : ['security_control'],
      uid: idOf(exported),
      sequence: record.seq,
      correlation_uid: textOf(record, 'trace_id'),
      event_code: record.event,
      log_name: 'audit',
      original_time: record.timestamp,
    },
    ...gate(record),
    raw_data: text,
  }
}

/** A summary of the refusals of one second. */
function aggregation(record: ExportedRecord, time: number): Attributes {
  const count = numberOf(record, 'count')
  return count === undefined || count <= 1 ? {} : { count, start_time: time, end_time: time + 1000, duration: 1000 }
}

/** The profile security_control: what the policy did. */
function gate(record: ExportedRecord): Attributes {
  const passed = isLetPass(record)
  if (passed === undefined) return {}
  const id = passed ? ALLOWED : DENIED
  const revision = textOf(record, 'policy_revision')
  const policy = compact({
    uid: revision,
    version: textOf(record, 'policy_version'),
    is_applied: record['mode'] !== 'shadow',
  })
  const authorizations = revision === undefined ? undefined : [{ decision: textOf(record, 'decision'), policy }]
  // Both lists have 1 for allowed; of dispositions, 2 is blocked.
  return { action_id: id, disposition_id: id, authorizations }
}

function attributesOf(record: ExportedRecord, classUid: number): Attributes {
  switch (classUid) {
    case API_ACTIVITY:
      return apiActivity(record)
    case AUTHENTICATION:
      return {
        user: { name: 'unknown', type_id: 0 },
        service: { name: PRODUCT },
        auth_protocol_id: OTHER_PROTOCOL,
        auth_protocol: 'mTLS with an X.509-SVID',
        src_endpoint: { ip: textOf(record, 'remote_address') },
      }
    case NETWORK:
      return { dst_endpoint: { svc_name: PRODUCT }, src_endpoint: { ip: textOf(record, 'remote_address') } }
    default:
      return {
        app: { name: textOf(record, 'worker_id') ?? PRODUCT, vendor_name: VENDOR, version: textOf(record, 'version') },
      }
  }
}

function apiActivity(record: ExportedRecord): Attributes {
  const who = textOf(record, 'requester_spiffe_id')
  const capability = textOf(record, 'capability')
  const status = numberOf(record, 'status')
  const decisionId = textOf(record, 'decision_id')
  return {
    // An eviction is the controller's own act.
    actor:
      who === undefined || record.event === EVICTED
        ? { app_name: who === undefined ? 'unknown' : PRODUCT }
        : { user: { uid: who, domain: domainOf(who), type_id: SERVICE_USER } },
    api: {
      operation: capability ?? (record.event === REGISTER ? 'register' : record.event),
      service: { name: PRODUCT },
      request: decisionId === undefined ? undefined : { uid: decisionId },
      response: { code: status, error: textOf(record, 'error') },
    },
    src_endpoint: { svc_name: who ?? 'unknown' },
    http_response: status === undefined ? undefined : { code: status },
    resources: resourcesOf(record, capability),
  }
}

function resourcesOf(record: ExportedRecord, capability: string | undefined): Attributes[] | undefined {
  const offered: unknown = record['capabilities']
  const names = Array.isArray(offered) ? (offered as unknown[]) : [capability]
  const resources = names.filter((name) => typeof name === 'string').map((name) => ({ name, type: 'capability' }))
  return resources.length === 0 ? undefined : resources
}

function severityOf(record: ExportedRecord): number {
  const { decision } = record
  if (decision === 'error' || decision === 'unevaluated') return SEVERITY.medium
  return isLetPass(record) === false || decision === 'would_deny' ? SEVERITY.low : SEVERITY.informational
}
