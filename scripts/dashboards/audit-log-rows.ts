// The rows of the Audit and identity dashboard about the audit log: whether records are written, how long the disk lasts, and
// whether they arrive where they are shipped to.
import { AUDIT, toAudit } from './explore.ts'
import { graph, logs, stat } from './panels.ts'
import { logql, now, series } from './queries.ts'
import { alerts, words } from './shared.ts'

const RATE = '[$__rate_interval]'

export const auditLogRows = [
  {
    title: 'Audit log',
    panels: [
      stat({
        title: 'Audit log',
        description:
          'Whether records can be written. Unavailable: nothing is forwarded and calls get 503 until the disk accepts records again. Check its free space and permissions, and the log event audit_unavailable.',
        width: 4,
        queries: [now('max(controller_audit_unavailable)')],
        unit: 'none',
        mappings: words(['writable', 'green'], ['unavailable', 'red']),
      }),
      stat({
        title: 'Oldest waiting',
        description:
          'How long the oldest record has waited for the disk. After a second it is dropped and its call is refused. Above 0.5 s: the disk is too slow, or another program uses it.',
        width: 4,
        queries: [now('max(controller_audit_oldest_seconds)')],
        unit: 's',
        thresholds: ['green', [0.1, 'orange'], [0.5, 'red']],
      }),
      stat({
        title: 'Not written',
        description:
          'Records that failed or were dropped in the selected time range. Each is a refused call, or an outcome that is missing in the log. Above 0: check the disk, then the log event audit_outcome_lost.',
        width: 4,
        queries: [
          now('sum(increase(controller_audit_failures_total[$__range]))', 'failed'),
          now('sum(increase(controller_audit_dropped_total[$__range]))', 'given up'),
        ],
        unit: 'none',
        decimals: 0,
        thresholds: ['green', [1, 'red']],
      }),
      alerts('LogLinesDropped|AlloyDropsLines|Audit.*|Svid.*', 12),
      graph({
        title: 'Records',
        description:
          'Records per second: written durably, failed, dropped before the disk. Two per forwarded call. If Written falls to 0 while there are requests, the log is down.',
        width: 8,
        queries: [
          series(`sum(rate(controller_audit_records_total${RATE}))`, 'written'),
          series(`sum(rate(controller_audit_failures_total${RATE}))`, 'failed'),
          series(`sum(rate(controller_audit_dropped_total${RATE}))`, 'given up'),
        ],
        unit: 'cps',
        min: 0,
        colours: { written: 'green', failed: 'red', 'given up': 'orange' },
      }),
      graph({
        title: 'Records in Loki, by event',
        description:
          'Audit records per second as they arrive in Loki. The sum follows Records with a delay of seconds. Lower: the controller ships them late (Shipping), or Alloy or Loki lags; the log of the controller has all records (crank audit verify).',
        width: 8,
        queries: [logql(`sum by (event) (rate({${AUDIT}} [$__auto]))`, { legend: '{{event}}' })],
        unit: 'cps',
        min: 0,
        stacked: true,
        links: [toAudit('These records', `{${AUDIT}, event=\`\${__field.labels.event}\`}`)],
      }),
      graph({
        title: 'Queue',
        description:
          'Records that wait for the disk. Each write empties the queue, so single digits are normal. Growing: the disk is slower than the calls arrive.',
        width: 4,
        queries: [series('sum by (instance) (controller_audit_queue_length)', '{{instance}}')],
        unit: 'none',
        min: 0,
      }),
      graph({
        title: 'Wait for the disk',
        description:
          'Age of the oldest waiting record at each scrape. Peaks near 1 s precede refused calls: move the log to a faster disk.',
        width: 4,
        queries: [series('max(controller_audit_oldest_seconds)', 'oldest')],
        unit: 's',
        min: 0,
        thresholds: ['green', [0.5, 'red']],
        lines: true,
      }),
      stat({
        title: 'Disk lasts for',
        description:
          'Days until less than CRANK_AUDIT_MIN_FREE of the disk is free, at the rate of the last day. Infinite: the log does not grow. Below 3: give it a larger disk, or set CRANK_AUDIT_KEEP.',
        width: 4,
        height: 8,
        queries: [now('min(controller_audit_disk_days_left)')],
        unit: 'd',
        decimals: 1,
        thresholds: ['red', [1, 'orange'], [3, 'green']],
      }),
      stat({
        title: 'Log reaches back',
        description:
          'Age of the oldest record that is still in the log. It grows until CRANK_AUDIT_KEEP removes old segments. Less than you have to keep: keep more, or look for the record audit_segments_removed.',
        width: 4,
        height: 8,
        queries: [now('time() - min(controller_audit_oldest_record_timestamp_seconds)')],
        unit: 's',
        decimals: 0,
      }),
      graph({
        title: 'Size and free disk',
        description:
          'Bytes of all segments, and what is free on their disk. Compression makes the size fall after each segment, to about a ninth. A steady fall of the free part with a steady size: something else fills the disk.',
        width: 8,
        queries: [
          series('sum by (instance) (controller_audit_bytes)', 'segments of {{instance}}'),
          series('min by (instance) (controller_audit_disk_free_bytes)', 'free for {{instance}}'),
        ],
        unit: 'bytes',
        min: 0,
      }),
      graph({
        title: 'Segments opened by reason',
        description:
          'New segments of the audit log. size, age, requested and started are normal. Any other reason means that somebody changed the segment before: run crank audit verify.',
        width: 8,
        queries: [
          series(`sum by (reason) (increase(controller_audit_segments_opened_total${RATE})) > 0`, '{{reason}}'),
        ],
        unit: 'short',
        min: 0,
      }),
      logs({
        title: 'Events of the controller and its log',
        description:
          'Starts, stops, repairs of a torn last line, recoveries of the audit log with the number of calls refused meanwhile, new segments, removed ones, steps of the clock, evicted workers. A start without a preceding stop means a crash.',
        width: 24,
        height: 7,
        queries: [
          logql(
            `{${AUDIT}, event=~"controller_started|controller_stopped|audit_repaired|audit_recovered|audit_segment_opened|audit_segments_removed|clock_stepped|worker_evicted|worker_drain_changed"}`,
            { maxLines: 100 },
          ),
        ],
        noValue: 'no events',
      }),
    ],
  },
  {
    title: 'Shipping',
    panels: [
      graph({
        title: 'Shipping lag',
        description:
          'Age of the oldest audit record that a target does not have: otlp, the collector of logs, or nats, the stream of the mesh. Seconds are normal. Growing: it is away, full or refuses the records; the log event audit_ship_failed has the reason. Empty: nothing is shipped.',
        width: 8,
        queries: [series('max by (instance, target) (controller_audit_ship_lag_seconds)', '{{instance}} {{target}}')],
        unit: 's',
        min: 0,
        thresholds: ['green', [300, 'orange']],
        lines: true,
      }),
      graph({
        title: 'Records not shipped yet',
        description:
          'Audit records on the disk of the controller that a target does not have. They are kept until all targets have them; a disk that runs full ends that.',
        width: 8,
        queries: [series('sum by (instance, target) (controller_audit_ship_lag_records)', '{{instance}} {{target}}')],
        unit: 'none',
        min: 0,
      }),
      graph({
        title: 'Records shipped',
        description:
          'Audit records per second that the targets accepted, that they rejected for good, and that were no longer in the log. The last two should be 0: the log events audit_ship_rejected and audit_ship_gap name them.',
        width: 8,
        queries: [series(`sum by (outcome) (rate(controller_audit_shipped_total${RATE}))`, '{{outcome}}')],
        unit: 'cps',
        min: 0,
        colours: { accepted: 'green', rejected: 'red', missed: 'orange' },
      }),
    ],
  },
]
