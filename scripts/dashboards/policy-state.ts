// Rows of the Policy dashboard about the current policy, its engine, and its changes.
import type { Row } from './dashboard.ts'
import { AUDIT } from './explore.ts'
import { graph, logs, stat } from './panels.ts'
import { logql, now, series } from './queries.ts'
import { alerts, words } from './shared.ts'

const RATE = '[$__rate_interval]'

export const stateRow: Row = {
  title: 'The policy in force',
  panels: [
    stat({
      title: 'Engine',
      description:
        'Whether the policy engine answers its self-check. Down: calls get 503, shadowed ones pass unevaluated. Check the log event opa_unreachable, then OPA itself.',
      width: 3,
      queries: [now('min(controller_policy_engine_up)')],
      unit: 'none',
      mappings: words(['down', 'red'], ['up', 'green']),
    }),
    stat({
      title: 'Freshness',
      description:
        'Stale: not confirmed for longer than CRANK_POLICY_MAX_STALENESS. The policy on disk or in OPA is not the one that decides: look under Changes for a refused reload. Always fresh if no limit is set.',
      width: 3,
      queries: [now('max(controller_policy_stale)')],
      unit: 'none',
      mappings: words(['fresh', 'green'], ['stale', 'red']),
    }),
    stat({
      title: 'Last confirmed',
      description:
        'Time since the policy in force was last confirmed to be the current one. It stays at seconds; if it grows, a change does not load or a bundle does not arrive: see Changes.',
      width: 4,
      queries: [now('max(time() - controller_policy_last_success_timestamp_seconds)')],
      unit: 's',
      decimals: 0,
      thresholds: ['green', [300, 'orange'], [900, 'red']],
    }),
    stat({
      title: 'In force for',
      description:
        'Age of the policy in force. Short after a change; if it is short without a known change, the audit records under Changes show the cause.',
      width: 4,
      queries: [now('min(controller_policy_age_seconds)')],
      unit: 's',
      decimals: 0,
    }),
    stat({
      title: 'Revision',
      description:
        'Revision and engine in force, as every audit record names them. Two values: controllers decide by different policies; wait for the rollout, or find out why one refuses it.',
      width: 4,
      queries: [now('max by (revision, engine) (controller_policy_revision_info)', '{{revision}} {{engine}}')],
      unit: 'none',
      text: 'name',
    }),
    stat({
      title: 'In shadow',
      description:
        'Entries of the enforcement data that let denied calls pass. 0 is full enforcement. Above 0 without a migration: find out who added them to enforcement.json.',
      width: 3,
      queries: [now('sum(controller_policy_shadow_entries)')],
      unit: 'none',
      thresholds: ['green', [1, 'orange']],
    }),
    stat({
      title: 'Data faults',
      description:
        'Faults in the policy data: exceptions without effect, or files that are not in force. Above 0: the log event policy_data_fault names file and entry.',
      width: 3,
      queries: [now('sum(controller_policy_data_faults)')],
      unit: 'none',
      thresholds: ['green', [1, 'red']],
    }),
    alerts('Policy.*', 24),
  ],
}

export const evaluationRow: Row = {
  title: 'Evaluation',
  panels: [
    graph({
      title: 'Time of an evaluation',
      description:
        'How long the engine took, sidecar or embedded. Budget for p95: 3 ms with the sidecar, 0.1 ms embedded. Above: open a dot; its trace shows whether OPA or the connection to it is slow.',
      width: 12,
      queries: [
        series(quantile(0.5), 'p50'),
        series(quantile(0.95), 'p95'),
        series(quantile(0.99), 'p99', { exemplar: true }),
      ],
      unit: 's',
      min: 0,
      thresholds: ['green', [0.003, 'orange'], [0.01, 'red']],
      lines: true,
    }),
    graph({
      title: 'Undecided calls',
      description:
        'Errors per second of the policy engine: no answer, an invalid answer, or no policy yet. Each is a refused call, never an allowed one. For any error, see Engine and the log event opa_unreachable.',
      width: 12,
      queries: [series(`sum by (code) (rate(controller_request_errors_total{code=~"policy_.*"}${RATE}))`, '{{code}}')],
      unit: 'reqps',
      min: 0,
      noValue: 'none',
    }),
  ],
}

export const changesRow: Row = {
  title: 'Changes',
  panels: [
    graph({
      title: 'Reloads',
      description:
        'Changes of policy or data that came into force (ok) or were refused (failed). Failed: the last good policy stays in force; the log event policy_change_refused gives the fault of the new one.',
      width: 5,
      queries: [series(`sum by (result) (increase(controller_policy_reload_total${RATE}))`, '{{result}}')],
      unit: 'short',
      min: 0,
      colours: { ok: 'green', failed: 'red' },
    }),
    graph({
      title: 'Decisions on registrations',
      description:
        'Decisions per second on registrations, allowed or denied. A worker that is denied repeatedly offers a capability that its manifest does not provide.',
      width: 5,
      queries: [series(`sum by (decision) (rate(controller_registrations_total${RATE}))`, '{{decision}}')],
      unit: 'reqps',
      min: 0,
      colours: { allow: 'green', deny: 'red' },
    }),
    graph({
      title: 'Not confirmed',
      description:
        'Above 0: the policy in force is not confirmed to be the current one, although the controller is ready. folder: a file has a fault; opa_files, opa_bundle: OPA did not load a change; opa_silent: OPA does not report its policy. See the check policy in crank check.',
      width: 6,
      queries: [series('max by (cause) (controller_policy_unconfirmed)', '{{cause}}')],
      unit: 'short',
      min: 0,
    }),
    logs({
      title: 'What changed',
      description:
        'Audit records of changes: old and new revision, and the entries added, removed and changed. An unannounced change appears here with its time.',
      width: 8,
      height: 8,
      queries: [logql(`{${AUDIT}, event="policy_changed"}`, { maxLines: 50 })],
      noValue: 'no change',
    }),
  ],
}

function quantile(q: number): string {
  return `histogram_quantile(${q}, sum by (le) (rate(controller_policy_eval_duration_seconds_bucket{capability=~"$capability"}${RATE})))`
}
