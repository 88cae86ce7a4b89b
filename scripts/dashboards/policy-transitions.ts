// Rows of the Policy dashboard about transitions: shadow mode, exceptions, a candidate policy.
import type { Row } from './dashboard.ts'
import { AUDIT, ofCapability, toAudit } from './explore.ts'
import { graph, stat, table } from './panels.ts'
import { logqlNow, now, rows, series } from './queries.ts'

const RATE = '[$__rate_interval]'
const WOULD_DENY = `{${AUDIT}, event="policy_decision"} | json decision="decision", capability="capability", requester="requester_spiffe_id" | decision=\`would_deny\``

export const shadowRow: Row = {
  title: 'Shadow mode',
  panels: [
    graph({
      title: 'Denied, and passed by shadow mode',
      description:
        'Calls per second that the policy denied: enforced, or passed in shadow mode. The latter must stay at 0 before enforcement is switched on; until then the table beside it shows the affected callers.',
      width: 8,
      queries: [
        series(rateOf('controller_policy_denials_total'), 'denied'),
        series(rateOf('controller_policy_would_denials_total'), 'passed in shadow', { exemplar: true }),
      ],
      unit: 'reqps',
      min: 0,
      colours: { denied: 'red', 'passed in shadow': 'orange' },
    }),
    graph({
      title: 'Entries in shadow',
      description:
        'Entries of the enforcement data that set shadow, by kind: the default, callers, capabilities. A migration only reduces them; an unannounced increase weakens enforcement: see What changed.',
      width: 6,
      queries: [series('sum by (kind) (controller_policy_shadow_entries)', '{{kind}}')],
      unit: 'none',
      min: 0,
    }),
    table({
      title: 'Who would be denied',
      description:
        'From the audit log: callers and capabilities whose calls passed only because of shadow mode, in the selected time range. Before enforcing, add each permission to its manifest, or inform its owner.',
      width: 10,
      queries: [
        logqlNow(
          `sum by (requester, capability) (count_over_time(${WOULD_DENY} | ${ofCapability('$capability')} [$__range]))`,
          '{{requester}} {{capability}}',
        ),
      ],
      unit: 'short',
      decimals: 0,
      noValue: 'nobody',
      seriesToRows: true,
      columns: { Field: 'Caller and capability', 'Last *': 'Calls' },
      sortBy: { column: 'Calls', descending: true },
    }),
  ],
}

export const exceptionsRow: Row = {
  title: 'Exceptions',
  panels: [
    table({
      title: 'Exceptions and their end',
      description:
        'Time left of each exception (red: less than a day; negative and without a colour: expired, it no longer allows calls) and the calls it allowed in the selected time range. Before it expires, renew it or add the permission to the manifest; delete an unused one. GET /policy/exceptions on the admin listener identifies them.',
      width: 12,
      queries: [
        rows('min by (exception) (controller_exception_expiry_seconds)'),
        // An exception that was never used shows 0, not a gap.
        rows(
          'sum by (exception) (increase(controller_exception_uses_total[$__range])) or 0 * min by (exception) (controller_exception_expiry_seconds)',
        ),
      ],
      unit: 's',
      decimals: 0,
      thresholds: ['text', [0, 'red'], [86_400, 'orange'], [604_800, 'green']],
      noValue: 'no exception',
      merged: true,
      columns: { exception: 'Exception', 'Value #A': 'Time left', 'Value #B': 'Calls' },
      columnUnits: { Calls: 'short' },
      sortBy: { column: 'Time left', descending: false },
      columnColours: ['Time left'],
    }),
    graph({
      title: 'Calls that an exception let pass',
      description:
        'Calls per second by exception. An exception that is used all the time belongs in a manifest. Click a line for its audit records.',
      width: 12,
      queries: [series(`sum by (exception) (rate(controller_exception_uses_total${RATE}))`, '{{exception}}')],
      unit: 'reqps',
      min: 0,
      noValue: 'no exception',
      links: [
        toAudit(
          'Decisions by exception in the audit log',
          `{${AUDIT}, event="policy_decision"} | json decision="decision", exception="exception" | decision=\`allow\` | exception!=\`\``,
        ),
      ],
    }),
  ],
}

const AGREED = 'controller_candidate_decisions_total'
const OTHERWISE = `sum(increase(${AGREED}{active="allow",candidate="deny"}[$__range])) + sum(increase(${AGREED}{active="deny",candidate="allow"}[$__range]))`

export const candidateRow: Row = {
  title: 'Candidate policy (only where one is configured)',
  collapsed: true,
  panels: [
    stat({
      title: 'Agreement',
      description:
        'Share of compared decisions in the selected time range on which candidate and active policy agree. Below 100 %: the candidate is not ready; the log event candidate_disagrees names the calls and both decisions.',
      width: 6,
      height: 8,
      queries: [now(`1 - (${OTHERWISE}) / (sum(increase(${AGREED}[$__range])) > 0)`, 'agreement')],
      unit: 'percentunit',
      decimals: 2,
      thresholds: ['red', [0.999, 'orange'], [1, 'green']],
      noValue: 'no candidate configured',
    }),
    graph({
      title: 'Disagreements',
      description:
        'Compared decisions per second that differ. allow, then deny: the candidate removes a permission. deny, then allow: it adds one. Both must be intended.',
      width: 12,
      queries: [
        series(disagreement('allow', 'deny'), 'active allow, candidate deny'),
        series(disagreement('deny', 'allow'), 'active deny, candidate allow'),
      ],
      unit: 'reqps',
      min: 0,
      noValue: 'no candidate configured',
    }),
    graph({
      title: 'Not compared',
      description:
        'Decisions per second that were not compared: dropped (the candidate is slow or down) or undecided (it gave no decision). Many: the agreement is not meaningful.',
      width: 6,
      queries: [series(`sum by (reason) (rate(controller_candidate_skipped_total${RATE}))`, '{{reason}}')],
      unit: 'reqps',
      min: 0,
      noValue: 'no candidate configured',
    }),
  ],
}

function rateOf(metric: string): string {
  return `sum(rate(${metric}{capability=~"$capability"}${RATE})) or vector(0)`
}

function disagreement(active: string, candidate: string): string {
  return `sum(rate(${AGREED}{active="${active}",candidate="${candidate}"}${RATE}))`
}
