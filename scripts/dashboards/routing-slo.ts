// Row of the Routing dashboard about the SLOs of single capabilities: budget, burn, and who is refused.
import type { Row } from './dashboard.ts'
import { AUDIT, toAudit } from './explore.ts'
import { graph, table } from './panels.ts'
import { rows, series } from './queries.ts'

const RATE = '[$__rate_interval]'
const OF = 'capability=~"$capability"'
const BY = 'capability, objective'

export const sloRow: Row = {
  title: 'SLOs of capabilities (slos/*.yaml)',
  panels: [
    table({
      title: 'Error budget left',
      description:
        'Share of the budget that is left, by the controller with the least, since it started or over the window of the SLO. Below 0 the objective is missed; at 0.5 with half of the window to go all is as planned. No row: no capability has an SLO, see docs/slo-authoring.md.',
      width: 8,
      queries: [rows(`min by (${BY}) (controller_slo_budget_left_ratio{${OF}})`)],
      unit: 'percentunit',
      noValue: 'no SLOs',
      columns: { capability: 'Capability', objective: 'Objective', Value: 'Budget left' },
      sortBy: { column: 'Budget left', descending: false },
    }),
    graph({
      title: 'Burn rate, 1 h',
      description:
        'Use of the budget relative to the allowed rate. 1 uses exactly the budget. From 14.4 over 1 h and 5 min (or the fast_burn of the SLO) SloBudgetBurnFast fires and low priority is refused. availability: calls fail, see Error codes; p50 to p99: answers begin late, see p95 by capability.',
      width: 8,
      queries: [series(`max by (${BY}) (crank:slo_burn:rate1h{${OF}})`, '{{capability}} {{objective}}')],
      unit: 'none',
      decimals: 1,
      min: 0,
      thresholds: ['green', [6, 'orange'], [14.4, 'red']],
      lines: true,
      noValue: 'no calls',
    }),
    graph({
      title: 'Calls that missed an objective',
      description:
        'Authorised calls per second that failed by the mesh or whose answer began too late. Denials, errors of callers and shed calls are not among them. Above 0 for long: the burn rate beside it says whether it matters.',
      width: 8,
      queries: [
        series(`sum by (${BY}) (rate(controller_slo_missed_total{${OF}}${RATE}))`, '{{capability}} {{objective}}'),
      ],
      unit: 'reqps',
      min: 0,
      noValue: 'none',
    }),
    graph({
      title: 'Share refused by priority',
      description:
        'What a burning budget refuses with 503 slo_shed: low first, then normal, high never, and never more than 0.9. Above 0: find what burns the budget; it falls by itself within a minute or two after that.',
      width: 12,
      queries: [
        series(`max by (capability, priority) (controller_slo_shed_ratio{${OF}})`, '{{capability}} {{priority}}'),
      ],
      unit: 'percentunit',
      min: 0,
      max: 1,
      noValue: 'nothing',
    }),
    graph({
      title: 'Shed calls',
      description:
        'Calls per second that got 503 slo_shed, by priority. Their callers are asked to come back after 5 to 30 s; if the number stays high, they do not wait. Click a line for the audit records.',
      width: 12,
      queries: [series(`sum by (priority) (rate(controller_slo_shed_total{${OF}}${RATE}))`, '{{priority}}')],
      unit: 'reqps',
      min: 0,
      noValue: 'none',
      links: [
        toAudit('Calls that were shed', `{${AUDIT}, event="route_outcome"} | json error="error" | error=\`slo_shed\``),
      ],
    }),
  ],
}
