// The Audit and identity dashboard: is every decision on disk, who is turned away at the door, and how the process feels.
import { dashboard } from './dashboard.ts'
import { AUDIT, toAudit } from './explore.ts'
import { graph, logs, stat } from './panels.ts'
import { logql, now, series } from './queries.ts'
import { alerts, words } from './shared.ts'

const RATE = '[$__rate_interval]'
/** OPA and the other services export process metrics of the same names. */
const CONTROLLER = '{job="controller"}'

export const auditAndIdentity = dashboard({
  uid: 'crank-audit-identity',
  title: 'Crank: audit and identity',
  description: 'Whether every decision is on disk, who was turned away at the door, and how the controller itself is.',
  rows: [
    {
      title: 'Audit log',
      panels: [
        stat({
          title: 'Audit log',
          description:
            'Whether records can be written. Unavailable: nothing is forwarded and calls get 503 until the disk takes records again. Look at its room and rights, and at the log event audit_unavailable.',
          width: 4,
          queries: [now('max(controller_audit_unavailable)')],
          unit: 'none',
          mappings: words(['writable', 'green'], ['unavailable', 'red']),
        }),
        stat({
          title: 'Oldest waiting',
          description:
            'How long the oldest record has waited for the disk. After a second it is given up and its call refused. Above 0.5 s: the disk is too slow, or somebody else uses it.',
          width: 4,
          queries: [now('max(controller_audit_oldest_seconds)')],
          unit: 's',
          thresholds: ['green', [0.1, 'orange'], [0.5, 'red']],
        }),
        stat({
          title: 'Not written',
          description:
            'Records that failed or were given up in the time shown. Each was a refused call, or an outcome that is missing in the log. Not 0: look at the disk, then at the log event audit_outcome_lost.',
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
            'Records a second: made durable, failed, given up before the disk. Two for each forwarded call. Written falls to 0 while there are requests: the log is down.',
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
            'Audit records a second as they arrive in Loki. Their sum follows Records, some seconds late. Less: Alloy or Loki lags; the file on the controller has all of them (crank audit verify).',
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
            'Records that wait for the disk. It empties with every write, so single digits are normal. Growing: the disk is slower than the calls come in.',
          width: 4,
          queries: [series('sum by (instance) (controller_audit_queue_length)', '{{instance}}')],
          unit: 'none',
          min: 0,
        }),
        graph({
          title: 'Wait for the disk',
          description:
            'Age of the oldest record that waits, as seen at each scrape. Peaks near 1 s come before refused calls: move the log to a faster disk.',
          width: 4,
          queries: [series('max(controller_audit_oldest_seconds)', 'oldest')],
          unit: 's',
          min: 0,
          thresholds: ['green', [0.5, 'red']],
          lines: true,
        }),
        logs({
          title: 'Life of the controller and of its log',
          description:
            'Starts, stops, repairs of a torn last line, recoveries of the audit log with the number of calls refused meanwhile, new files after a rotation, steps of the clock, evicted workers. A start without a stop before it is a crash.',
          width: 24,
          height: 7,
          queries: [
            logql(
              `{${AUDIT}, event=~"controller_started|controller_stopped|audit_repaired|audit_recovered|audit_segment_opened|clock_stepped|worker_evicted"}`,
              { maxLines: 100 },
            ),
          ],
          noValue: 'nothing happened',
        }),
      ],
    },
    {
      title: 'Identity',
      panels: [
        stat({
          title: 'Own certificate: time left',
          description:
            "Until the controller's certificate expires. It must be renewed with a third of its life left: write the new files over the old ones, no restart is needed.",
          width: 4,
          height: 8,
          queries: [now('min(controller_svid_expiry_seconds)')],
          unit: 's',
          decimals: 0,
          thresholds: ['red', [600, 'orange'], [3600, 'green']],
        }),
        stat({
          title: 'Own certificate: life left',
          description:
            'The same as a share of its whole life. SvidExpiring warns below a quarter and is critical below a tenth: whoever renews certificates does not.',
          width: 4,
          height: 8,
          queries: [now('min(controller_svid_expiry_seconds / controller_svid_lifetime_seconds)')],
          unit: 'percentunit',
          decimals: 0,
          thresholds: ['red', [0.1, 'orange'], [0.25, 'green']],
        }),
        graph({
          title: 'Refused identities by reason',
          description:
            'Peers a second that the gate turned away with 401. expired: a worker does not renew. untrusted: a wrong or rotated CA, or a stranger. The others: whoever issues the certificates. Click a line for the records, with addresses.',
          width: 8,
          queries: [series(`sum by (reason) (rate(controller_identity_refused_total${RATE}))`, '{{reason}}')],
          unit: 'cps',
          min: 0,
          links: [
            toAudit(
              'Peers refused as ${__field.labels.reason}',
              `{${AUDIT}, event="identity_refused"} | json error="error" | error=\`\${__field.labels.reason}\``,
            ),
          ],
        }),
        graph({
          title: 'Refused connections by reason',
          description:
            'Connections a second that ended without a request: over_limit, tls (no TLS 1.3, or none in time), too_slow, malformed, reset by the peer. A port scan looks like this; over_limit means real callers wait.',
          width: 8,
          queries: [series(`sum by (reason) (rate(controller_connections_refused_total${RATE}))`, '{{reason}}')],
          unit: 'cps',
          min: 0,
        }),
        graph({
          title: 'Credential reloads',
          description:
            'New certificates, keys or bundles on disk, taken over (ok) or not (failed). Failed: the old set stays until it expires; the log event credentials_broken names the file.',
          width: 8,
          height: 9,
          queries: [series(`sum by (result) (increase(controller_credential_reload_total${RATE}))`, '{{result}}')],
          unit: 'short',
          min: 0,
          colours: { ok: 'green', failed: 'red' },
        }),
        logs({
          title: 'Recently refused identities',
          description:
            'Audit records of refused peers: the reason and the address. count above 1: so many in one second, written as one. The same address again and again is a worker with old credentials, or somebody who tries.',
          width: 16,
          queries: [
            logql(
              `{${AUDIT}, event="identity_refused"} | json error="error", address="remote_address", count="count" | line_format "{{.error}} {{.address}} ({{.count}})"`,
              { maxLines: 100 },
            ),
          ],
          noValue: 'nobody was refused',
        }),
      ],
    },
    {
      title: 'Process',
      panels: [
        stat({
          title: 'Scraped services',
          description:
            'Whether Prometheus reaches each service of the stack. Down: its panels are empty or stand still, so look at the container first.',
          width: 24,
          queries: [now('min by (job) (up)', '{{job}}')],
          unit: 'none',
          mappings: words(['down', 'red'], ['up', 'green']),
        }),
        graph({
          title: 'Event loop delay',
          description:
            'How late the controller gets to its work; 10 ms is the grain of the measurement and means not at all. p99 above 50 ms adds to every call: too many calls for one core, or a large policy that is evaluated in process.',
          width: 8,
          queries: [
            series(`max(nodejs_eventloop_lag_p50_seconds${CONTROLLER})`, 'p50'),
            series(`max(nodejs_eventloop_lag_p99_seconds${CONTROLLER})`, 'p99'),
          ],
          unit: 's',
          min: 0,
          thresholds: ['green', [0.05, 'red']],
          lines: true,
        }),
        graph({
          title: 'Memory',
          description:
            'Resident memory and JavaScript heap. A heap that only grows over hours is a leak: take a heap snapshot before the restart. Resident far above it: buffers of bodies that are passed through.',
          width: 8,
          queries: [
            series(`sum(process_resident_memory_bytes${CONTROLLER})`, 'resident'),
            series(`sum(nodejs_heap_size_used_bytes${CONTROLLER})`, 'heap in use'),
          ],
          unit: 'bytes',
          min: 0,
        }),
        graph({
          title: 'CPU',
          description:
            'Cores in use; the main thread can use one. Near 1: latency grows next. Fewer calls per process, or a look at docs/performance.md.',
          width: 8,
          queries: [series(`sum by (instance) (rate(process_cpu_seconds_total${CONTROLLER}${RATE}))`, '{{instance}}')],
          unit: 'none',
          decimals: 2,
          min: 0,
          thresholds: ['green', [0.9, 'red']],
          lines: true,
        }),
      ],
    },
  ],
})
