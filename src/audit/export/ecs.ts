// A record in the Elastic Common Schema 9.4. What has no field there is below `crank`, a name of our own.
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
import type { Exported } from './exported.ts'

/** The version whose fields these are. */
const ECS_VERSION = '9.4.0'
/** `event.category`, and the `event.type` besides allowed or denied; each type is one that the category expects. */
const CLASSES: Readonly<Record<string, readonly [category: string, type: string]>> = {
  policy_decision: ['api', 'access'],
  route_outcome: ['api', 'end'],
  worker_registration: ['api', 'creation'],
  request_refused: ['api', 'access'],
  worker_evicted: ['api', 'deletion'],
  identity_refused: ['authentication', 'start'],
  handshake_refused: ['network', 'connection'],
  policy_changed: ['configuration', 'change'],
  block_changed: ['configuration', 'change'],
  worker_drain_changed: ['configuration', 'change'],
  controller_started: ['process', 'start'],
  controller_stopped: ['process', 'end'],
  clock_stepped: ['host', 'change'],
}
const OTHER_CLASS = ['process', 'info'] as const
/** Categories whose types include allowed and denied. */
const GATED = new Set(['api', 'network'])
/** ECS stores keywords up to this length. */
const MAX_KEYWORD = 1024
const ELSEWHERE = new Set([
  'v',
  'seq',
  'prev',
  'hash',
  'event',
  'timestamp',
  'trace_id',
  'span_id',
  'requester_spiffe_id',
])

export function toEcs(exported: Exported): Record<string, unknown> {
  const { slot, text, record } = exported
  const [category, type] = CLASSES[record.event] ?? OTHER_CLASS
  const who = textOf(record, 'requester_spiffe_id')
  const address = textOf(record, 'remote_address')
  const durationMs = numberOf(record, 'duration_ms') ?? numberOf(record, 'evaluation_time_ms')
  const own = Object.fromEntries(Object.entries(record).filter(([name]) => !ELSEWHERE.has(name)))
  return compact({
    '@timestamp': record.timestamp,
    ecs: { version: ECS_VERSION },
    message: messageOf(record),
    event: {
      kind: 'event',
      module: 'crank',
      dataset: 'crank.audit',
      provider: PRODUCT,
      action: record.event,
      category: [category],
      type: [type, ...gateOf(exported, category)],
      outcome: resultOf(record),
      id: idOf(exported),
      sequence: record.seq,
      code: codeOf(record),
      reason: reasonOf(record)?.slice(0, MAX_KEYWORD),
      duration: durationMs === undefined ? undefined : Math.round(durationMs * 1e6),
      hash: textOf(record, 'hash'),
      original: text,
    },
    service: { name: PRODUCT, type: 'crank', version: textOf(record, 'version') },
    user: who === undefined ? undefined : { id: who.slice(0, MAX_KEYWORD), domain: domainOf(who) },
    source: { address, ip: address },
    related: {
      user: who === undefined ? undefined : [who.slice(0, MAX_KEYWORD)],
      ip: address === undefined ? undefined : [address],
    },
    trace: { id: textOf(record, 'trace_id') },
    span: { id: textOf(record, 'span_id') },
    http: { response: { status_code: numberOf(record, 'status') } },
    error: { code: textOf(record, 'error') },
    rule: {
      ruleset: textOf(record, 'policy_revision'),
      version: textOf(record, 'policy_version'),
      name: textOf(record, 'exception'),
    },
    crank: { ...own, slot },
  })
}

function gateOf({ record }: Exported, category: string): string[] {
  const passed = isLetPass(record)
  return passed === undefined || !GATED.has(category) ? [] : [passed ? 'allowed' : 'denied']
}
