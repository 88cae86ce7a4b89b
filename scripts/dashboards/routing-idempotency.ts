// Row of the Routing dashboard about calls with an idempotency key, and the store of keys.
import type { Row } from './dashboard.ts'
import { AUDIT, toAudit } from './explore.ts'
import { graph } from './panels.ts'
import { series } from './queries.ts'

const RATE = '[$__rate_interval]'

export const idempotencyRow: Row = {
  title: 'Idempotency keys',
  panels: [
    graph({
      title: 'Calls with a key',
      description:
        'Per second, by what the key did. replayed: callers repeat calls, and get the stored answer. unknown: callers ask about calls whose outcome nobody knows. reused: a caller uses one key for different requests. unavailable: see the store beside it. Click a line for its audit records.',
      width: 8,
      queries: [series(`sum by (result) (rate(controller_idempotency_total${RATE}))`, '{{result}}')],
      unit: 'reqps',
      min: 0,
      stacked: true,
      links: [
        toAudit(
          'Calls whose key was ${__field.labels.result}',
          `{${AUDIT}, event="route_outcome"} | json idempotency="idempotency" | idempotency=\`\${__field.labels.result}\``,
        ),
      ],
    }),
    graph({
      title: 'Time to claim a key',
      description:
        'How long a call with a key waits until its claim is on the disk. It rises with a slow disk, or with many calls that wait for the store.',
      width: 8,
      queries: [0.5, 0.99].map((quantile) =>
        series(
          `histogram_quantile(${quantile}, sum by (le) (rate(controller_idempotency_write_seconds_bucket${RATE})))`,
          `p${quantile * 100}`,
        ),
      ),
      unit: 's',
      min: 0,
    }),
    graph({
      title: 'Store of keys',
      description:
        'Keys by state. in_flight: their calls run. unknown: nobody knows the outcome of their calls, or it was not stored. unavailable above 0: the store cannot be used, and calls with a key get 503; the log event idempotency_unavailable has the reason.',
      width: 8,
      queries: [
        series('sum by (state) (controller_idempotency_keys)', '{{state}}'),
        series('sum(controller_idempotency_unavailable)', 'unavailable'),
      ],
      unit: 'short',
      min: 0,
    }),
  ],
}
