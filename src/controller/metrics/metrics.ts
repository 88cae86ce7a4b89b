// On the path of every call. All counters and histograms of the controller, in one place. Callers report events; label
// values come from closed sets, so that no stranger can add series: SPIFFE IDs, ids and free text are never labels.
import { Counter, Histogram } from 'prom-client'
import type { Capability } from '../../core/capability.ts'
import { ERRORS, type ErrorCode, type IdentityErrorCode } from '../../core/errors.ts'
import { SEGMENT_REASONS, type SegmentReason } from '../../core/segment-reason.ts'
import { OUTCOMES, type Outcome } from '../../core/outcome.ts'
import { RULING_NAMES, type Ruling } from '../../core/ruling.ts'
import type { TraceContext } from '../../core/trace-context.ts'
import type { Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'
import { adding, observing, oncePerPair } from '../../platform/series.ts'
import { createStateGauges, type ControllerState } from './state-gauges.ts'

/**
 * In this order: over the limit of connections; over the part of one identity; waited too long for its handshake; no TLS, or
 * not in time; headers too slow; not HTTP; ended by the peer.
 */
export type ConnectionRefusal = (typeof CONNECTION_REFUSALS)[number]
const CONNECTION_REFUSALS = [
  'over_limit',
  'identity_limit',
  'not_in_turn',
  'tls',
  'too_slow',
  'malformed',
  'reset',
] as const

type Traced = { readonly trace?: TraceContext | undefined }

/** The controller's metrics by event. `capability` may be any text; one that no manifest names is counted as `other`. */
export type Metrics = {
  /** A request ended. `route`: its pattern. `status` undefined: the caller left without an answer. `code`: of our own error. */
  readonly answered: (event: {
    route: string | undefined
    status: number | undefined
    code?: ErrorCode | undefined
  }) => void
  /** The policy answered, or failed, after `seconds`. For a blocked identity, `seconds` is undefined and `capability` null. */
  readonly decided: (
    event: { capability: string | null; decision: Ruling; seconds: number | undefined } & Traced,
  ) => void
  /** A forwarded call ended, `seconds` after it began, after `attempts` attempts. */
  readonly routed: (
    event: { capability: string; outcome: Outcome; seconds: number; attempts?: number | undefined } & Traced,
  ) => void
  readonly registrationDecided: (decision: Ruling) => void
  /** The gate refused a peer. */
  readonly identityRefused: (reason: IdentityErrorCode) => void
  /** A connection on the mTLS listener ended without a request. */
  readonly connectionRefused: (reason: ConnectionRefusal) => void
  /** Audit records became durable, or did not; `dropped`: failed records that were given up before they were written. */
  readonly audited: (result: 'written' | 'failed' | 'dropped', count?: number) => void
  /** The audit log continues in a new file. */
  readonly auditSegmentOpened: (reason: SegmentReason) => void
  readonly auditCheckpointFailed: () => void
  /** Certificate, key or bundle changed on disk, and were loaded or not. */
  readonly credentialsReloaded: (result: 'ok' | 'failed') => void
  /** A change of policy came into force, or was refused. */
  readonly policyReloaded: (result: 'ok' | 'failed') => void
  /** A policy came into force. */
  readonly policyLoaded: (event: { revision: string; engine: string }) => void
  /** Spans that will never reach the collector. */
  readonly spansLost: (count: number) => void
  /** Sets the sources of the gauges, which are read at each scrape. Call once. */
  readonly observe: (state: ControllerState) => void
  /** The capabilities that manifests name: only these become label values. */
  readonly setKnownCapabilities: (known: Iterable<Capability>) => void
  /** `capability` if a manifest names it, else `other`. */
  readonly capabilityLabel: (capability: string) => string
}

const OTHER = 'other'
const CALL_ROUTES = ['/route', '/route/:verb/:capability']
const ROUTES = new Set([...CALL_ROUTES, '/register', '/heartbeat', '/deregister', '/capabilities', '/workers'])
const STATUS_CLASSES = ['2xx', '4xx', '5xx', 'none']
/** By the first digit of a status. */
const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx']
const EVALUATION_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const ROUTE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Registers the metrics of the controller. `now` in ms; `isDelivering`: spans reach the collector, so exemplars make sense. */
export function createMetrics(
  registry: Registry,
  { now = Date.now, isDelivering = () => false }: { now?: () => number; isDelivering?: () => boolean } = {},
): Metrics {
  const counters = createCounters(registry)
  const series = findSeries(counters)
  let known: ReadonlySet<Capability> = new Set()
  const gauges = createStateGauges({ registry, known: () => known, now })
  const capabilityLabel = (capability: string): string =>
    (known as ReadonlySet<string>).has(capability) ? capability : OTHER
  const exemplarOf = (trace: TraceContext | undefined) => (isDelivering() ? exemplarOfSampled(trace) : undefined)
  return asObserver<Metrics>({
    answered({ route, status, code }) {
      const label = route !== undefined && ROUTES.has(route) ? route : OTHER
      series.requests(label, status === undefined ? 'none' : (CLASSES[Math.floor(status / 100)] ?? 'none'))(1)
      if (code !== undefined) counters.requestErrors.inc({ code })
    },
    decided({ capability, decision, seconds, trace }) {
      const label = capability === null ? OTHER : capabilityLabel(capability)
      const exemplar = exemplarOf(trace)
      series.decisions(label, decision)(1, exemplar)
      if (seconds !== undefined) series.evaluation(label, '')(seconds, exemplar)
      if (decision === 'would_deny') series.wouldDenials(label, '')(1, exemplar)
      if (decision === 'deny') series.denials(label, '')(1, exemplar)
    },
    routed({ capability, outcome, seconds, trace, attempts = 0 }) {
      series.routeDuration(capabilityLabel(capability), outcome)(seconds, exemplarOf(trace))
      series.attempts(outcome, '')(attempts)
    },
    registrationDecided: (decision) => counters.registrations.inc({ decision }),
    identityRefused: (reason) => counters.identityRefused.inc({ reason }),
    connectionRefused: (reason) => counters.connectionsRefused.inc({ reason }),
    audited: (result, count = 1) => counters.audit[result].inc(count),
    auditCheckpointFailed: () => counters.auditCheckpointFailures.inc(),
    auditSegmentOpened: (reason) => counters.auditSegments.inc({ reason }),
    credentialsReloaded: (result) => counters.credentialReloads.inc({ result }),
    policyReloaded: (result) => counters.policyReloads.inc({ result }),
    spansLost: (count) => counters.spansLost.inc(count),
    policyLoaded: gauges.policyLoaded,
    observe: gauges.observe,
    setKnownCapabilities: (capabilities) => {
      known = new Set(capabilities)
      startDecisionsAtZero(counters, known)
    },
    capabilityLabel,
  })
}

// Only a sampled trace can be looked up, and only if the collector accepts spans: any other exemplar would link to nothing.
function exemplarOfSampled(trace: TraceContext | undefined): Readonly<Record<string, string>> | undefined {
  return trace?.sampled === true ? { trace_id: trace.traceId, span_id: trace.spanId } : undefined
}

/** The series that every call or denial adds to, by the values of their labels. */
function findSeries(counters: ReturnType<typeof createCounters>) {
  const { requests, decisions, denials, wouldDenials, evaluation, routeDuration, attempts } = counters
  return {
    requests: oncePerPair((route, status_class) => adding(requests, { route, status_class })),
    decisions: oncePerPair((capability, decision) => adding(decisions, { capability, decision })),
    denials: oncePerPair((capability) => adding(denials, { capability })),
    wouldDenials: oncePerPair((capability) => adding(wouldDenials, { capability })),
    evaluation: oncePerPair((capability) => observing(evaluation, { capability })),
    routeDuration: oncePerPair((capability, outcome) => observing(routeDuration, { capability, outcome })),
    attempts: oncePerPair((outcome) => adding(attempts, { outcome })),
  }
}

function createCounters(registry: Registry) {
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: `controller_${name}_total`, help, labelNames, registers: [registry] })
  const traced = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: `controller_${name}_total`, help, labelNames, registers: [registry], enableExemplars: true })
  const durations = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({
      name: `controller_${name}_seconds`,
      help,
      buckets,
      labelNames,
      registers: [registry],
      enableExemplars: true,
    })
  const counters = {
    requests: counter('requests', 'Requests answered on the mTLS listener.', 'route', 'status_class'),
    requestErrors: counter('request_errors', 'Error answers by the controller itself, by code.', 'code'),
    decisions: traced('policy_decisions', 'Policy decisions on calls.', 'capability', 'decision'),
    denials: traced('policy_denials', 'Calls that policy denied.', 'capability'),
    wouldDenials: traced('policy_would_denials', 'Calls that policy denied but shadow mode let pass.', 'capability'),
    evaluation: durations('policy_eval_duration', 'Time of one policy evaluation.', EVALUATION_BUCKETS, 'capability'),
    routeDuration: durations('route_duration', 'Time of a forwarded call.', ROUTE_BUCKETS, 'capability', 'outcome'),
    attempts: counter('worker_attempts', 'Attempts to call a worker, by outcome of the call.', 'outcome'),
    registrations: counter('registrations', 'Policy decisions on registrations.', 'decision'),
    identityRefused: counter('identity_refused', 'Peers that the identity gate refused.', 'reason'),
    connectionsRefused: counter('connections_refused', 'Connections that ended without a request.', 'reason'),
    auditCheckpointFailures: counter(
      'audit_checkpoint_failures',
      'Checkpoints of the audit log that could not be written.',
    ),
    auditSegments: counter(
      'audit_segments_opened',
      'New audit segments, by the reason to leave the one before.',
      'reason',
    ),
    credentialReloads: counter('credential_reload', 'Changes of certificate, key or bundle on disk.', 'result'),
    policyReloads: counter('policy_reload', 'Changes of policy, loaded or refused.', 'result'),
    spansLost: counter('spans_lost', 'Spans that were lost on the way to the collector.'),
    audit: {
      written: counter('audit_records', 'Audit records made durable.'),
      failed: counter('audit_failures', 'Audit records that could not be made durable.'),
      // Also counted as failures.
      dropped: counter(
        'audit_dropped',
        'Audit records dropped before they were written: queue full, or waited too long.',
      ),
    },
  }
  startAtZero(counters)
  return counters
}

// Makes the first decision of a kind an increase, not a new series: alerts, and panels that show 0, rely on it.
function startDecisionsAtZero(counters: ReturnType<typeof createCounters>, known: ReadonlySet<string>): void {
  for (const capability of [...known, OTHER]) {
    counters.denials.inc({ labels: { capability }, value: 0 })
    counters.wouldDenials.inc({ labels: { capability }, value: 0 })
    for (const decision of RULING_NAMES) counters.decisions.inc({ labels: { capability, decision }, value: 0 })
  }
}

// A series that appears with its first event shows no rate for that event, so the series of closed sets exist from the start.
// Not those of the histograms: each has a dozen lines, and most would stay empty.
function startAtZero(counters: ReturnType<typeof createCounters>): void {
  const { requests, requestErrors, attempts, registrations, connectionsRefused, identityRefused } = counters
  for (const route of [...ROUTES, OTHER]) {
    for (const status_class of STATUS_CLASSES) requests.inc({ route, status_class }, 0)
  }
  for (const code of Object.keys(ERRORS)) requestErrors.inc({ code }, 0)
  for (const outcome of OUTCOMES) attempts.inc({ outcome }, 0)
  // Shadow mode lets no registration pass.
  for (const decision of ['allow', 'deny', 'error'] as const) registrations.inc({ decision }, 0)
  for (const reason of CONNECTION_REFUSALS) connectionsRefused.inc({ reason }, 0)
  for (const [reason, { status }] of Object.entries(ERRORS)) if (status === 401) identityRefused.inc({ reason }, 0)
  for (const reason of SEGMENT_REASONS) counters.auditSegments.inc({ reason }, 0)
  for (const result of ['ok', 'failed']) {
    counters.credentialReloads.inc({ result }, 0)
    counters.policyReloads.inc({ result }, 0)
  }
}
