// Rows of the Policy dashboard about decisions, and about denials: of what, why, and whose.
import type { Row } from './dashboard.ts'
import { AUDIT, ofCapability, toAudit } from './explore.ts'
import { graph, logs, table } from './panels.ts'
import { logql, logqlNow, rows, series, spans } from './queries.ts'

const CALLS = 'controller_policy_decisions_total{capability=~"$capability"}'
const RATE = '[$__rate_interval]'
const DECISIONS = `${AUDIT}, event="policy_decision"`
const ASKED = 'decision="decision", capability="capability"'
// All codes of a denial: an expired exception, for one, stands after the permission that is missing without it. One by one:
// the list as a whole is not valid JSON any more where a message has quotes.
const CODES = [0, 1, 2, 3].map((n) => `code${n}="reasons[${n}].code"`).join(', ')
const CODE = 'label_format code=`{{.code0}} {{.code1}} {{.code2}} {{.code3}}` | label_format code=`{{trim .code}}`'
const DENIED = `{${DECISIONS}} | json ${ASKED}, requester="requester_spiffe_id", message="reasons[0].message", ${CODES} | decision=\`deny\` | ${ofCapability('$capability')}`

export const decisionsRow: Row = {
  title: 'Decisions',
  panels: [
    graph({
      title: 'Decisions by kind',
      description:
        'Decisions a second. would_deny: denied, passed in shadow. error: no decision, refused with 503. unevaluated: no decision, passed in shadow. A jump of deny: see Denials. Any error: see Undecided calls. Dots lead to traces.',
      width: 12,
      queries: [series(`sum by (decision) (rate(${CALLS}${RATE}))`, '{{decision}}', { exemplar: true })],
      unit: 'reqps',
      min: 0,
      stacked: true,
      colours: { allow: 'green', deny: 'red', would_deny: 'orange', error: 'purple', unevaluated: 'yellow' },
    }),
    graph({
      title: 'Share of denied and undecided calls',
      description:
        'Of all decisions. Above a quarter the alert PolicyDenialSpike fires: a caller that keeps asking, or a change that took away what is needed. Undecided above 0 is trouble of the engine.',
      width: 12,
      queries: [
        series(`${share('deny')} / (sum(rate(${CALLS}${RATE})) > 0)`, 'denied'),
        series(`${share('error|unevaluated')} / (sum(rate(${CALLS}${RATE})) > 0)`, 'undecided'),
      ],
      unit: 'percentunit',
      min: 0,
      max: 1,
      thresholds: ['green', [0.25, 'red']],
      lines: true,
      colours: { denied: 'red', undecided: 'purple' },
    }),
  ],
}

export const denialsRow: Row = {
  title: 'Denials',
  panels: [
    graph({
      title: 'Denials by capability',
      description:
        'Refused calls a second. A line that starts with a policy change (orange mark): the change took away a permission. Click a line for its audit records, a dot for a trace. other: a capability in no manifest; the records of all denials open, and have its name.',
      width: 12,
      queries: [
        series(
          `sum by (capability) (rate(controller_policy_denials_total{capability=~"$capability"}${RATE})) > 0`,
          '{{capability}}',
          {
            exemplar: true,
          },
        ),
      ],
      unit: 'reqps',
      min: 0,
      noValue: 'no denial',
      links: [
        toAudit(
          'Denials of ${__field.labels.capability} in the audit log',
          `{${DECISIONS}} | json ${ASKED} | decision=\`deny\` | ${ofCapability('${__field.labels.capability}')}`,
        ),
      ],
    }),
    table({
      title: 'Most denied capabilities',
      description:
        'The ten with most denials in the time shown. Open the audit records of one: a caller that should have it is missing in worker_manifests.json, any other should not ask. other: a capability in no manifest; the records of all denials open, and have its name.',
      width: 6,
      queries: [
        rows(
          'topk(10, sum by (capability) (increase(controller_policy_denials_total{capability=~"$capability"}[$__range])) > 0)',
        ),
      ],
      unit: 'short',
      decimals: 0,
      noValue: 'no denial',
      columns: { capability: 'Capability', Value: 'Denials' },
      sortBy: { column: 'Denials', descending: true },
      columnLinks: {
        Capability: [
          toAudit(
            'Its denials in the audit log',
            `{${DECISIONS}} | json ${ASKED} | decision=\`deny\` | ${ofCapability('${__value.raw}')}`,
          ),
        ],
      },
    }),
    table({
      title: 'Denials by reason',
      description:
        "From the audit log: the reasons of each denial, by their codes. capability_not_declared is a manifest, worker_unknown an identity without one, exception_expired an exception to renew or to replace by a rule, identity_blocked somebody's decision.",
      width: 6,
      queries: [logqlNow(`sum by (code) (count_over_time(${DENIED} | ${CODE} [$__range]))`, '{{code}}')],
      unit: 'short',
      decimals: 0,
      noValue: 'no denial',
      seriesToRows: true,
      columns: { Field: 'Reason', 'Last *': 'Denials' },
      sortBy: { column: 'Denials', descending: true },
      columnLinks: {
        Reason: [
          toAudit(
            'Denials for this reason',
            `{${DECISIONS}} | json decision="decision", ${CODES} | decision=\`deny\` | ${CODE} | code=\`\${__value.raw}\``,
          ),
        ],
      },
    }),
    logs({
      title: 'Recent denials',
      description:
        'Who asked for what, and the sentence of the policy. Open a line: its trace in Tempo or Jaeger, and every line of the same decision.',
      width: 24,
      queries: [
        logql(`${DENIED} | ${CODE} | line_format "{{.requester}} {{.capability}} ({{.code}}): {{.message}}"`, {
          maxLines: 100,
        }),
      ],
      noValue: 'no denial',
    }),
    table({
      title: 'Traces of denied calls',
      description:
        'The newest requests that ended in a denial. Nothing here beside denials above: the callers do not sample, or Jaeger does not forward to Tempo.',
      width: 24,
      queries: [
        spans(
          '{ resource.service.name = "crank-controller" && span.policy.decision = "deny" && kind = server } with (most_recent=true)',
          20,
        ),
      ],
    }),
  ],
}

// 0 where no such decision was ever made: then there is no series to divide.
function share(decisions: string): string {
  return `(sum(rate(controller_policy_decisions_total{capability=~"$capability",decision=~"${decisions}"}${RATE})) or vector(0))`
}
