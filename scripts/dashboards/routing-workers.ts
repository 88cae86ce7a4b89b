// Row of the Routing dashboard about workers: outcomes of their calls, and live instances.
import type { Row } from './dashboard.ts'
import { AUDIT, toAudit } from './explore.ts'
import { graph, table } from './panels.ts'
import { rows, series } from './queries.ts'

const RATE = '[$__rate_interval]'
const CALLS = 'controller_route_duration_seconds_count{capability=~"$capability"}'

export const workersRow: Row = {
  title: 'Workers',
  panels: [
    graph({
      title: 'Outcomes',
      description:
        'Outcomes of allowed calls per second. worker_failed: no live worker, or an invalid answer. unknown: the connection broke before an answer, so the work may or may not have been done. caller_left: callers give up early. shutdown: a controller stopped during the calls. refused: ended before a worker, for a reason of the call, such as its idempotency key. Click a line for its audit records.',
      width: 8,
      queries: [series(`sum by (outcome) (rate(${CALLS}${RATE}))`, '{{outcome}}')],
      unit: 'reqps',
      min: 0,
      stacked: true,
      colours: {
        completed: 'green',
        caller_left: 'yellow',
        shutdown: 'blue',
        worker_failed: 'red',
        timeout: 'orange',
        unknown: 'purple',
        refused: 'light-blue',
      },
      links: [
        toAudit(
          'Calls that ended as ${__field.labels.outcome}',
          `{${AUDIT}, event="route_outcome"} | json outcome="outcome" | outcome=\`\${__field.labels.outcome}\``,
        ),
      ],
    }),
    graph({
      title: 'Attempts per call',
      description:
        'All capabilities. 1 is normal. Above: another worker is tried, see Retries. Below: calls that found no worker.',
      width: 8,
      queries: [
        series(
          `sum(rate(controller_worker_attempts_total${RATE})) / (sum(rate(controller_route_duration_seconds_count${RATE})) > 0)`,
          'attempts per call',
        ),
      ],
      unit: 'none',
      decimals: 2,
      min: 0,
    }),
    graph({
      title: 'Calls that found no worker',
      description:
        '503 no_worker_available per second, all capabilities. If there are any, the table beside it shows the capabilities without a worker; start the worker, or find out why it does not register (log event worker_registration_denied).',
      width: 8,
      queries: [
        series(
          `sum(rate(controller_request_errors_total{code="no_worker_available"}${RATE})) or vector(0)`,
          'no worker',
        ),
      ],
      unit: 'reqps',
      min: 0,
      colours: { 'no worker': 'red' },
    }),
    graph({
      title: 'Calls that wait for a worker',
      description:
        'Calls in the queue, by capability, because every worker that fits is at its limit (max_concurrency, or BUSY). It empties by itself after a burst; growing for minutes: start more workers. Refusals: see Queue.',
      width: 8,
      queries: [series('sum by (capability) (controller_queue_length{capability=~"$capability"})', '{{capability}}')],
      unit: 'none',
      min: 0,
    }),
    graph({
      title: 'Queue',
      description:
        'The p95 of the wait of calls that got a worker, and calls per second that got none. Raise max_concurrency or start more workers when either grows. Reasons: full, no room, 503 overloaded; displaced, calls of higher priority took the place, 503 overloaded; timed_out, 504 worker_timeout; none, the last worker that fits has gone.',
      width: 8,
      queries: [
        series(
          `histogram_quantile(0.95, sum by (le) (rate(controller_queue_wait_seconds_bucket{capability=~"$capability"}${RATE})))`,
          'p95 of the wait (s)',
        ),
        series(
          `sum by (reason) (rate(controller_queue_refusals_total{capability=~"$capability"}${RATE}))`,
          '{{reason}} per s',
        ),
      ],
      unit: 'none',
      min: 0,
    }),
    graph({
      title: 'Worker instances',
      description:
        'Registered instances by state. suspect: a connection to it failed. ejected: it failed five times in a row. half_open: it is tried again. These get calls only if no live worker fits, and come back by themselves; if they do not, look at the log of the worker. draining: an operator keeps calls from it. stale: its heartbeats are missing; later it is removed.',
      width: 8,
      queries: [series('sum by (state) (controller_registry_workers)', '{{state}}')],
      unit: 'none',
      min: 0,
      colours: {
        live: 'green',
        suspect: 'yellow',
        ejected: 'orange',
        half_open: 'light-blue',
        draining: 'blue',
        stale: 'red',
      },
    }),
    graph({
      title: 'Changes of state',
      description:
        'Workers that became suspect, ejected or stale per minute, by cause; the log event worker_state_changed names them. unreachable, reset: the process is gone, or the network. timeout: it hangs, or callers give it too little time. answer: it answers 5xx without a declared error code. A worker that appears again and again is ejected for up to a minute each time.',
      width: 8,
      queries: [
        series(
          `60 * sum by (to, cause) (rate(controller_worker_state_changes_total{to=~"suspect|ejected|stale"}${RATE}))`,
          '{{to}}: {{cause}}',
        ),
      ],
      unit: 'none',
      min: 0,
    }),
    graph({
      title: 'Retries',
      description:
        'Further attempts at calls per second. unreached: nothing was sent. busy, not_begun: the worker refused the call before any work. retry_safe: sent again under its idempotency key. over budget: not sent again, because retries reached a fifth of the calls: workers fail faster than others can take their calls.',
      width: 8,
      queries: [
        series(`sum by (reason) (rate(controller_retries_total${RATE}))`, '{{reason}}'),
        series(`sum(rate(controller_retry_budget_refusals_total${RATE}))`, 'over budget'),
      ],
      unit: 'none',
      min: 0,
      colours: { 'over budget': 'red' },
    }),
    table({
      title: 'Capabilities without a live worker',
      description:
        'Capabilities that a manifest names and no worker provides now. Calls of them get 503. Expected for workers that are not deployed here; otherwise start them.',
      width: 8,
      queries: [rows('max by (capability) (controller_capability_providers) == 0')],
      unit: 'none',
      noValue: 'every capability has one',
      columns: { capability: 'Capability', Value: 'Live workers' },
      sortBy: { column: 'Capability', descending: false },
    }),
    graph({
      title: 'Live workers by capability',
      description:
        'A line that drops: a worker stopped or lost its lease; at 0 the capability is unavailable. A single worker has no spare.',
      width: 8,
      queries: [
        series('max by (capability) (controller_capability_providers{capability=~"$capability"})', '{{capability}}'),
      ],
      unit: 'none',
      min: 0,
    }),
  ],
}
