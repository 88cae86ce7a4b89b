import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { makeCapability } from '../../../src/core/capability.ts'
import { ERRORS, type ErrorCode } from '../../../src/core/errors.ts'
import { createMetrics, type Metrics } from '../../../src/controller/metrics/metrics.ts'
import type { ControllerState } from '../../../src/controller/metrics/state-gauges.ts'

const HELLO = makeCapability('invoke', 'hello_world')
const TRACE = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true }

function setUp({ now = () => 0, exporting = true }: { now?: () => number; exporting?: boolean } = {}): {
  metrics: Metrics
  scrape: () => Promise<string[]>
} {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  const metrics = createMetrics(registry, { now, isDelivering: () => exporting })
  metrics.setKnownCapabilities([HELLO])
  return { metrics, scrape: async () => (await registry.metrics()).split('\n') }
}

const seriesOf = (lines: string[]): string[] => lines.filter((line) => !line.startsWith('#') && line !== '')

describe('events', () => {
  test('a decision counts, is timed, and is counted as a denial only when it is one', async () => {
    const { metrics, scrape } = setUp()
    metrics.decided({ capability: HELLO, decision: 'allow', seconds: 0.0002 })
    metrics.decided({ capability: HELLO, decision: 'deny', seconds: 0.2 })
    metrics.decided({ capability: HELLO, decision: 'would_deny', seconds: 0.2 })
    metrics.decided({ capability: HELLO, decision: 'error', seconds: 0.1 })
    const lines = await scrape()
    for (const decision of ['allow', 'deny', 'would_deny', 'error']) {
      expect(lines).toContain(`controller_policy_decisions_total{capability="${HELLO}",decision="${decision}"} 1`)
    }
    expect(lines).toContain(`controller_policy_denials_total{capability="${HELLO}"} 1`)
    expect(lines).toContain(`controller_policy_would_denials_total{capability="${HELLO}"} 1`)
    expect(lines).toContain(`controller_policy_eval_duration_seconds_count{capability="${HELLO}"} 4`)
    expect(lines).toContain(`controller_policy_eval_duration_seconds_bucket{le="0.00025",capability="${HELLO}"} 1`)
  })

  test('a sampled trace becomes an exemplar, another one does not', async () => {
    const { metrics, scrape } = setUp()
    metrics.decided({ capability: 'x:y', decision: 'deny', seconds: 0.2, trace: { ...TRACE, sampled: false } })
    metrics.routed({ capability: HELLO, outcome: 'completed', seconds: 0.02, trace: TRACE, attempts: 2 })
    metrics.decided({ capability: HELLO, decision: 'allow', seconds: 0.02, trace: TRACE })
    const exemplar = `# {trace_id="${TRACE.traceId}",span_id="${TRACE.spanId}"}`
    const traced = (await scrape()).filter((line) => line.includes(exemplar)).map((line) => line.split(' ')[0])
    expect(traced).toEqual([
      `controller_policy_decisions_total{capability="${HELLO}",decision="allow"}`,
      `controller_policy_eval_duration_seconds_bucket{le="0.025",capability="${HELLO}"}`,
      `controller_route_duration_seconds_bucket{le="0.025",capability="${HELLO}",outcome="completed"}`,
    ])
  })

  test('where no span is exported, no trace becomes an exemplar', async () => {
    const { metrics, scrape } = setUp({ exporting: false })
    metrics.decided({ capability: HELLO, decision: 'deny', seconds: 0.02, trace: TRACE })
    metrics.routed({ capability: HELLO, outcome: 'completed', seconds: 0.02, trace: TRACE })
    expect((await scrape()).filter((line) => line.includes('trace_id'))).toEqual([])
  })

  test('a capability that a manifest names only since a change begins at zero, and the others go on', async () => {
    const { metrics, scrape } = setUp()
    metrics.decided({ capability: HELLO, decision: 'deny', seconds: 0.2 })
    metrics.setKnownCapabilities([HELLO, makeCapability('stream', 'text_events')])
    const lines = await scrape()
    expect(lines).toContain('controller_policy_denials_total{capability="stream:text_events"} 0')
    expect(lines).toContain(`controller_policy_denials_total{capability="${HELLO}"} 1`)
  })

  test('a request counts by its route and status class, an error also by its code', async () => {
    const { metrics, scrape } = setUp()
    metrics.answered({ route: '/route', status: 200 })
    metrics.answered({ route: '/route/:verb/:capability', status: 503, code: 'overloaded' })
    metrics.answered({ route: undefined, status: 404, code: 'not_found' })
    metrics.answered({ route: '/secret-path', status: 404 })
    const lines = await scrape()
    expect(lines).toContain('controller_requests_total{route="/route",status_class="5xx"} 0')
    expect(lines.filter((line) => /^controller_requests_total.* [1-9]/.test(line))).toEqual([
      'controller_requests_total{route="/route",status_class="2xx"} 1',
      'controller_requests_total{route="/route/:verb/:capability",status_class="5xx"} 1',
      'controller_requests_total{route="other",status_class="4xx"} 2',
    ])
    expect(lines).toContain('controller_request_errors_total{code="overloaded"} 1')
    expect(lines).toContain('controller_request_errors_total{code="not_found"} 1')
  })

  test('refusals, registrations, reloads and audit records count, from zero on', async () => {
    const { metrics, scrape } = setUp()
    expect(await scrape()).toEqual(
      expect.arrayContaining([
        'controller_identity_refused_total{reason="spiffe_id_invalid"} 0',
        'controller_registrations_total{decision="deny"} 0',
        'controller_credential_reload_total{result="failed"} 0',
        'controller_audit_records_total 0',
        'controller_audit_failures_total 0',
        'controller_audit_dropped_total 0',
        'controller_audit_segments_opened_total{reason="renamed"} 0',
      ]),
    )
    metrics.identityRefused('spiffe_id_invalid')
    metrics.registrationDecided('deny')
    metrics.credentialsReloaded('failed')
    metrics.policyReloaded('ok')
    metrics.audited('written', 16)
    metrics.audited('failed')
    metrics.audited('dropped', 3)
    metrics.auditSegmentOpened('renamed')
    expect(await scrape()).toEqual(
      expect.arrayContaining([
        'controller_identity_refused_total{reason="spiffe_id_invalid"} 1',
        'controller_registrations_total{decision="deny"} 1',
        'controller_credential_reload_total{result="failed"} 1',
        'controller_policy_reload_total{result="ok"} 1',
        'controller_policy_reload_total{result="failed"} 0',
        'controller_audit_records_total 16',
        'controller_audit_failures_total 1',
        'controller_audit_dropped_total 3',
        'controller_audit_segments_opened_total{reason="renamed"} 1',
      ]),
    )
  })

  test('attempts count all tries at workers, none when nobody was asked', async () => {
    const { metrics, scrape } = setUp()
    metrics.routed({ capability: HELLO, outcome: 'completed', seconds: 1, attempts: 3 })
    metrics.routed({ capability: HELLO, outcome: 'worker_failed', seconds: 1 })
    expect(await scrape()).toEqual(
      expect.arrayContaining([
        'controller_worker_attempts_total{outcome="completed"} 3',
        'controller_worker_attempts_total{outcome="worker_failed"} 0',
      ]),
    )
  })
})

describe('before the first event', () => {
  const times = (...lists: string[][]): string[] =>
    lists.reduce((made, list) =>
      made.flatMap((left) => list.map((right) => (left === '' ? right : `${left},${right}`))),
    )
  const label = (name: string, values: readonly string[]): string[] => values.map((value) => `${name}="${value}"`)
  const capabilities = label('capability', [HELLO, 'other'])
  const decisions = label('decision', ['allow', 'deny', 'would_deny', 'error', 'unevaluated'])
  const routes = ['/route', '/route/:verb/:capability', '/register', '/heartbeat', '/deregister', '/capabilities']
  const codes = Object.keys(ERRORS)
  const refusals = codes.filter((code) => ERRORS[code as ErrorCode].status === 401)

  test.for<[string, string[]]>([
    ['policy_decisions', times(capabilities, decisions)],
    ['policy_denials', capabilities],
    ['policy_would_denials', capabilities],
    [
      'requests',
      times(label('route', [...routes, '/workers', 'other']), label('status_class', ['2xx', '4xx', '5xx', 'none'])),
    ],
    ['request_errors', label('code', codes)],
    [
      'worker_attempts',
      label('outcome', ['completed', 'caller_left', 'worker_failed', 'timeout', 'shutdown', 'unknown', 'refused']),
    ],
    ['registrations', label('decision', ['allow', 'deny', 'error'])],
    ['identity_refused', label('reason', refusals)],
    [
      'connections_refused',
      label('reason', ['over_limit', 'identity_limit', 'not_in_turn', 'tls', 'too_slow', 'malformed', 'reset']),
    ],
    ['credential_reload', label('result', ['ok', 'failed'])],
    ['policy_reload', label('result', ['ok', 'failed'])],
  ])('every series of controller_%s_total is there, at zero', async ([name, wanted]) => {
    const { scrape } = setUp()
    const lines = (await scrape()).filter((line) => line.startsWith(`controller_${name}_total{`))
    expect(lines.sort()).toEqual(wanted.map((labels) => `controller_${name}_total{${labels}} 0`).sort())
  })

  test('no counter is left out, and no histogram has a series', async () => {
    const { scrape } = setUp()
    const lines = await scrape()
    const counters = lines.flatMap((line) => /^# TYPE (controller_\w+) counter$/.exec(line)?.[1] ?? [])
    expect(counters.length).toBeGreaterThan(12)
    expect(counters.filter((name) => !lines.some((line) => line.startsWith(`${name}_total`)))).toEqual([])
    expect(lines.filter((line) => line.includes('_bucket'))).toEqual([])
  })
})

describe('cardinality', () => {
  test('10,000 capabilities that no manifest names add at most one series for each of the others', async () => {
    const { metrics, scrape } = setUp()
    const call = (capability: string): void => {
      metrics.decided({ capability, decision: 'deny', seconds: 0.001, trace: TRACE })
      metrics.routed({ capability, outcome: 'completed', seconds: 0.001, trace: TRACE })
    }
    const empty = seriesOf(await scrape()).length
    call(HELLO)
    const ofOneCapability = seriesOf(await scrape()).length - empty
    for (let n = 0; n < 10_000; n += 1) call(`verb${n}:name_${n}`)
    const lines = seriesOf(await scrape())
    expect(lines.length - empty).toBeLessThanOrEqual(2 * ofOneCapability)
    expect(lines).toContainEqual(expect.stringContaining('controller_policy_denials_total{capability="other"} 10000 '))
  })

  test('a capability is its own label as long as a manifest names it', () => {
    const { metrics } = setUp()
    const label = metrics.capabilityLabel
    expect([label(HELLO), label('invoke:nobody'), label('__proto__')]).toEqual([HELLO, 'other', 'other'])
    metrics.setKnownCapabilities([])
    expect(label(HELLO)).toBe('other')
  })
})

describe('gauges', () => {
  const state: ControllerState = {
    workers: () => ({ live: 3, suspect: 0, ejected: 0, half_open: 0, draining: 0, stale: 1 }),
    capabilities: () => 2,
    providers: (capability) => (capability === HELLO ? 2 : 0),
    audit: () => ({ ok: false, queued: 7, oldestMs: 250 }),
    auditDisk: () => ({ bytes: 5, oldestMs: 2000, freeBytes: 7, minFreeBytes: 1, daysLeft: undefined }),
    svid: () => ({ notBeforeMs: 30_000, notAfterMs: 90_000 }),
    policyReady: () => true,
    policyLastSuccessMs: () => 60_000,
    policyStale: () => false,
    policyNotes: () => ({ folder: true, opa_files: false }),
    shadowEntries: () => ({ default: 0, callers: 2, capabilities: 1 }),
    blocks: () => ({ file: 2, mesh: 1 }),
    openConnections: () => 5,
  }

  test('are read at the time of the scrape', async () => {
    let nowMs = 30_000
    const { metrics, scrape } = setUp({ now: () => nowMs })
    metrics.policyLoaded({ revision: 'aaa', engine: 'opa-wasm' })
    metrics.observe(state)
    nowMs = 100_000
    expect(seriesOf(await scrape())).toEqual(
      expect.arrayContaining([
        'controller_registry_workers{state="live"} 3',
        'controller_registry_workers{state="stale"} 1',
        'controller_registry_capabilities 2',
        'controller_policy_unconfirmed{cause="folder"} 1',
        'controller_policy_unconfirmed{cause="opa_files"} 0',
        'controller_audit_queue_length 7',
        'controller_audit_oldest_seconds 0.25',
        'controller_audit_unavailable 1',
        'controller_svid_expiry_seconds -10',
        'controller_svid_lifetime_seconds 60',
        'controller_policy_engine_up 1',
        'controller_policy_last_success_timestamp_seconds 60',
        'controller_policy_stale 0',
        'controller_policy_shadow_entries{kind="default"} 0',
        'controller_policy_shadow_entries{kind="callers"} 2',
        'controller_open_connections 5',
        'controller_policy_age_seconds 70',
        'controller_policy_revision_info{revision="aaa",engine="opa-wasm"} 1',
      ]),
    )
  })

  test('only the revision in force has a series, and its age starts again', async () => {
    let nowMs = 0
    const { metrics, scrape } = setUp({ now: () => nowMs })
    metrics.policyLoaded({ revision: 'aaa', engine: 'opa-wasm' })
    nowMs = 5000
    metrics.policyLoaded({ revision: 'bbb', engine: 'opa-wasm' })
    const lines = await scrape()
    expect(lines.filter((line) => line.startsWith('controller_policy_revision_info'))).toEqual([
      'controller_policy_revision_info{revision="bbb",engine="opa-wasm"} 1',
    ])
    expect(lines).toContain('controller_policy_age_seconds 0')
  })

  test('every capability that a manifest names has its providers counted, from none on, and no other', async () => {
    const { metrics, scrape } = setUp()
    const nobody = makeCapability('convert', 'document_to_pdf')
    metrics.setKnownCapabilities([HELLO, nobody])
    metrics.observe(state)
    const counted = async () => (await scrape()).filter((line) => line.startsWith('controller_capability_providers'))
    expect(await counted()).toEqual([
      `controller_capability_providers{capability="${HELLO}"} 2`,
      `controller_capability_providers{capability="${nobody}"} 0`,
    ])
    metrics.setKnownCapabilities([nobody])
    expect(await counted()).toEqual([`controller_capability_providers{capability="${nobody}"} 0`])
  })

  test('a source that throws does not fail the scrape', async () => {
    const { metrics, scrape } = setUp()
    const broken = (): never => {
      throw new Error('gone')
    }
    metrics.observe({ ...state, svid: broken, workers: broken })
    expect(await scrape()).toContain('controller_open_connections 5')
  })
})
