// The row of the Routing dashboard about admission: who is let in, who is not, and what the controller is short of.
import { graph } from './panels.ts'
import { series } from './queries.ts'

const RATE = '[$__rate_interval]'

export const admissionRow = {
  title: 'Admission: what the controller lets in',
  panels: [
    graph({
      title: 'Refused calls',
      description:
        'Calls that were not let in, per second. rate, concurrent, body: a caller is over its limit in limits.json, and the audit records say which. load: the controller prepares as many calls as it can. left: the caller left while it waited. memory: it has no room for a body. Click load: alert CallsShed in the guide.',
      width: 8,
      queries: [
        series(
          `sum by (reason, priority) (rate(controller_admission_refused_total${RATE})) > 0`,
          '{{reason}} {{priority}}',
        ),
      ],
      unit: 'reqps',
      min: 0,
      noValue: 'none',
    }),
    graph({
      title: 'Calls being prepared',
      description:
        'From admission until the verdict is durable. The limit adapts: it falls when preparing takes longer than twice the base. In flight at the limit, and calls waiting: the controller is at its capacity. A slow worker does not show here.',
      width: 8,
      queries: [
        series('sum(controller_admission_limit)', 'limit'),
        series('sum(controller_admission_in_flight)', 'in flight'),
        series('sum(controller_admission_waiting)', 'waiting'),
      ],
      unit: 'short',
      min: 0,
    }),
    graph({
      title: 'Time to prepare, delay of the event loop',
      description:
        'Latency far above base: too many calls, a slow disk (Audit and identity) or a slow policy engine (Policy). Delay of the event loop high as well: the CPU.',
      width: 8,
      queries: [
        series('max(controller_admission_latency_seconds)', 'latency'),
        series('max(controller_admission_base_latency_seconds)', 'base'),
        series('max(controller_event_loop_delay_seconds{quantile="0.99"})', 'event loop p99'),
      ],
      unit: 's',
      min: 0,
    }),
    graph({
      title: 'Lowered priorities',
      description:
        'Calls per second that asked for a higher priority than limits.json allows their caller. The decision record has both (priority, priority_requested).',
      width: 12,
      queries: [
        series(`sum by (from, to) (rate(controller_admission_lowered_total${RATE})) > 0`, '{{from}} to {{to}}'),
      ],
      unit: 'reqps',
      min: 0,
      noValue: 'none',
    }),
    graph({
      title: 'Used memory',
      description:
        'Used part of the heap limit or of the memory limit of the container, the larger of both. From 85 % on large bodies are refused, from 95 % on every call.',
      width: 12,
      queries: [series('max by (instance) (controller_memory_used_ratio)', '{{instance}}')],
      unit: 'percentunit',
      min: 0,
      max: 1,
      thresholds: ['green', [0.85, 'orange'], [0.95, 'red']],
      lines: true,
    }),
  ],
}
