// The Routing dashboard: the objective, traffic, latency, workers, and the service map.
import { dashboard } from './dashboard.ts'
import { AUDIT, ofCapability, toAudit } from './explore.ts'
import { graph, nodeGraph, stat, table, type Thresholds } from './panels.ts'
import { now, series, serviceMap, spans } from './queries.ts'
import { admissionRow } from './routing-admission.ts'
import { idempotencyRow } from './routing-idempotency.ts'
import { sloRow } from './routing-slo.ts'
import { workersRow } from './routing-workers.ts'
import { alerts } from './shared.ts'

const RATE = '[$__rate_interval]'
const BUCKETS = 'controller_route_duration_seconds_bucket{capability=~"$capability"}'
/** 99.9 % of authorised calls do not fail because of the mesh; as in observability/prometheus/rules. */
const BUDGET = 0.001

export const routing = dashboard({
  uid: 'crank-routing',
  title: 'Crank: routing',
  description: 'Rate, duration and outcome of calls, and the workers that serve them.',
  rows: [
    {
      title: 'Objective: 99.9 % of calls do not fail because of the mesh',
      panels: [
        stat({
          title: 'Failed calls, last hour',
          description:
            'Share of calls answered 5xx; denials (403) and bad requests (4xx) do not count. Above 0.1 % the budget of 30 days is consumed too fast: see Error codes.',
          width: 4,
          queries: [now('max(crank:route_errors:ratio_rate1h)')],
          unit: 'percentunit',
          decimals: 3,
          thresholds: ['green', [BUDGET, 'orange'], [0.0144, 'red']],
          noValue: 'no calls',
        }),
        burn('1h', 14.4, 'two days'),
        burn('6h', 6, 'five days'),
        alerts(
          'ControllerDown|ControllerProcessesEnd|MeshStoreAway|NoWorker.*|CallsShed|ErrorBudget.*|Slo.*|WatcherDown|Jaeger.*|AlertsNotDelivered|SpansLost',
          12,
        ),
        graph({
          title: 'Burn rate',
          description:
            'Consumption of the error budget relative to the allowed rate, over four windows. 1 uses exactly the budget. ErrorBudgetBurnFast fires at 14.4 over 1 h and 5 min, ErrorBudgetBurnSlow at 6 over 6 h and 30 min.',
          width: 12,
          queries: ['5m', '30m', '1h', '6h'].map((window) =>
            series(`max(crank:route_errors:ratio_rate${window}) / ${BUDGET}`, window),
          ),
          unit: 'none',
          decimals: 1,
          min: 0,
          thresholds: ['green', [6, 'orange'], [14.4, 'red']],
          lines: true,
        }),
        graph({
          title: 'Error codes',
          description:
            "The controller's own error answers per second, by code (table: src/core/errors.ts). Causes: worker_*: a worker; policy_engine_*: OPA; audit_unavailable: the disk; overloaded and no_worker_available: too few workers; capability_access_denied: a denial (dashboard Policy). Click a line for its audit records.",
          width: 12,
          queries: [series(`sum by (code) (rate(controller_request_errors_total${RATE}))`, '{{code}}')],
          unit: 'reqps',
          min: 0,
          noValue: 'none',
          links: [
            toAudit(
              'Audit records with ${__field.labels.code}',
              `{${AUDIT}} | json error="error" | error=\`\${__field.labels.code}\``,
            ),
          ],
        }),
      ],
    },
    {
      title: 'Traffic',
      panels: [
        graph({
          title: 'Requests by route',
          description:
            'Requests per second on the mTLS listener. No /route at all: callers cannot connect, see the dashboard Audit and identity. /heartbeat continues while workers live.',
          width: 8,
          queries: [series(`sum by (route) (rate(controller_requests_total${RATE}))`, '{{route}}')],
          unit: 'reqps',
          min: 0,
        }),
        graph({
          title: 'Requests by status class',
          description:
            'Requests per second; none: the caller left before an answer. A rising 4xx comes from a caller, mostly denials (dashboard Policy); a rising 5xx from the mesh: see Error codes.',
          width: 8,
          queries: [series(`sum by (status_class) (rate(controller_requests_total${RATE}))`, '{{status_class}}')],
          unit: 'reqps',
          min: 0,
          stacked: true,
          colours: { '2xx': 'green', '4xx': 'yellow', '5xx': 'red', none: 'purple' },
        }),
        graph({
          title: 'Open connections',
          description:
            'Connections on the mTLS listener. Workers and callers keep theirs, so the line is flat. Growing without more requests: a caller opens one per call, or does not close them.',
          width: 8,
          queries: [series('sum by (instance) (controller_open_connections)', '{{instance}}')],
          unit: 'none',
          min: 0,
        }),
      ],
    },
    {
      title: 'Latency',
      panels: [
        graph({
          title: 'Time of a forwarded call',
          description:
            'From the selection of a worker to the end of its answer, without decision and audit. p99 far above p50: a few slow calls, open a dot; all percentiles high: the workers are busy.',
          width: 12,
          queries: [
            series(quantile(0.5, 'le'), 'p50'),
            series(quantile(0.95, 'le'), 'p95'),
            series(quantile(0.99, 'le'), 'p99', { exemplar: true }),
          ],
          unit: 's',
          min: 0,
        }),
        graph({
          title: 'p95 by capability',
          description:
            'Which capability is slow. One line rises: its workers, or the workers that they call. All rise: the controller itself, see Process on the dashboard Audit and identity. other: a capability that no manifest names.',
          width: 12,
          queries: [series(quantile(0.95, 'le, capability'), '{{capability}}')],
          unit: 's',
          min: 0,
          links: [
            toAudit(
              'Outcomes of ${__field.labels.capability} in the audit log',
              `{${AUDIT}, event="route_outcome"} | json capability="capability" | ${ofCapability('${__field.labels.capability}')}`,
            ),
          ],
        }),
        table({
          title: 'Slow calls',
          description:
            'The newest calls whose request took more than 250 ms in the controller, from Tempo. Open one and look for the widest bar: policy.evaluate is the engine, POST /execute the worker, a gap before it the audit log. No data: no sampled call took that long.',
          width: 24,
          queries: [
            spans(
              '{ resource.service.name = "crank-controller" && kind = server && duration > 250ms } with (most_recent=true)',
              20,
            ),
          ],
        }),
      ],
    },
    admissionRow,
    sloRow,
    workersRow,
    idempotencyRow,
    {
      title: 'Who calls whom',
      panels: [
        graph({
          title: 'Lost spans',
          description:
            'Spans per second that the controller could not deliver: traces have gaps, or are missing. Only the controller counts them; the log event span_export_recovered of each service gives the number lost in an outage. Above 0: check Jaeger, then see SpansLost in the guide.',
          width: 24,
          height: 6,
          queries: [series(`sum by (instance) (rate(controller_spans_lost_total${RATE}))`, '{{instance}}')],
          unit: 'cps',
          min: 0,
          thresholds: ['green', [0.001, 'red']],
          lines: true,
          noValue: 'none',
        }),
        nodeGraph({
          title: 'Service map',
          description:
            'From sampled traces, by Tempo: services, calls per second and their mean time; the red part of a ring failed. Empty for the first minute after the first call. A missing service sends no spans: look for the log events span_export_failed and tracing_unavailable. OPA appears if the controller uses it as a sidecar; the embedded engine is part of the controller.',
          width: 24,
          queries: [serviceMap()],
        }),
      ],
    },
  ],
})

function burn(window: string, factor: number, gone: string): ReturnType<typeof stat> {
  const thresholds: Thresholds = ['green', [1, 'orange'], [factor, 'red']]
  return stat({
    title: `Burn rate, ${window}`,
    description: `Consumption of the error budget relative to the allowed rate over ${window}. At ${factor} the budget of 30 days is used up in ${gone}: see Error codes for the cause.`,
    width: 4,
    queries: [now(`max(crank:route_errors:ratio_rate${window}) / ${BUDGET}`)],
    unit: 'none',
    decimals: 1,
    thresholds,
    noValue: 'no calls',
  })
}

function quantile(q: number, by: string): string {
  return `histogram_quantile(${q}, sum by (${by}) (rate(${BUCKETS}${RATE})))`
}
