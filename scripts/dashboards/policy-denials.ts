// Rows of the Policy dashboard about decisions and denials: which capability, why, and which caller.
import type { Row } from './dashboard.ts'
import { AUDIT, ofCapability, toAudit } from './explore.ts'
import { graph, logs, table } from './panels.ts'
import { logql, logqlNow, rows, series, spans } from './queries.ts'

const CALLS = 'controller_policy_decisions_total{capability=~"$capability"}'
const RATE = '[$__rate_interval]'
const DECISIONS = `${AUDIT}, event="policy_decision"`
const ASKED = 'decision="decision", capability="capability"'
// All reason codes of a denial: an expired exception, for example, follows the missing permission. They are read one at
// a time:
// the whole list is not valid JSON if a message contains quotes.
const CODES = [0, 1, 2, 3].map((n) => `code${n}="reasons[${n}].code"`).join(', ')
const CODE = 'label_format code=`{{.code0}} {{.code1}} {{.code2}} {{.code3}}` | label_format code=`{{trim .code}}`'
const DENIED = `{${DECISIONS}} | json ${ASKED}, requester="requester_spiffe_id", message="reasons[0].message", ${CODES} | decision=\`deny\` | ${ofCapability('$capability')}`

export const decisionsRow: Row = {
  title: 'Decisions',
  panels: [
    graph({
      title: 'Decisions by kind',
      description:
        'Decisions per second. would_deny: denied, but passed in shadow mode. error: no decision, refused with 503. unevaluated: no decision, but passed in shadow mode. If deny jumps, see Denials; for any error, see Undecided calls. Dots link to traces.',
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
        'Share of all decisions. Above a quarter the alert PolicyDenialSpike fires: a caller that keeps retrying, or a change that removed a needed permission. Undecided above 0 is a fault of the engine.',
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
        'Refused calls per second. A line that starts with a policy change (orange mark): the change removed a permission. Click a line for its audit records, a dot for a trace. other: a capability in no manifest; its link opens the records of all denials, which contain the name.',
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
        'The ten with most denials in the selected time range. Open the audit records of one: a caller that needs it lacks it in worker_manifests.json; any other caller should not request it. other: a capability in no manifest; its link opens the records of all denials, which contain the name.',
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
        'From the audit log: the reasons of each denial, by code. capability_not_declared: the manifest lacks the capability. worker_unknown: an identity without a manifest. exception_expired: an exception to renew or to replace by a manifest entry. identity_blocked: an operator blocked the identity.',
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
        'The caller, the capability, and the message of the policy. Open a line for its trace in Tempo or Jaeger, and for every line of the same decision.',
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
        'The newest requests that ended in a denial. If this is empty although there are denials above, the callers do not sample, or Jaeger does not forward to Tempo.',
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

// 0 if no such decision was ever made: then there is no series to divide.
function share(decisions: string): string {
  return `(sum(rate(controller_policy_decisions_total{capability=~"$capability",decision=~"${decisions}"}${RATE})) or vector(0))`
}
