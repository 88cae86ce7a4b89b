// The Audit and identity dashboard: whether every decision is on disk, which peers are refused, and the state of the
// process.
import { auditLogRows } from './audit-log-rows.ts'
import { dashboard } from './dashboard.ts'
import { AUDIT, toAudit } from './explore.ts'
import { graph, logs, stat } from './panels.ts'
import { logql, now, series } from './queries.ts'
import { words } from './shared.ts'

const RATE = '[$__rate_interval]'
/** OPA and the other services export process metrics of the same names. */
const CONTROLLER = '{job="controller"}'

export const auditAndIdentity = dashboard({
  uid: 'crank-audit-identity',
  title: 'Crank: audit and identity',
  description: 'Whether every decision is on disk, which peers were refused, and the state of the controller process.',
  rows: [
    ...auditLogRows,
    {
      title: 'Identity',
      panels: [
        stat({
          title: 'Own certificate: time left',
          description:
            "Until the controller's certificate expires. Renew it when a third of its lifetime is left: write the new files over the old ones; no restart is needed.",
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
            'The same as a share of its lifetime. SvidExpiring warns below a quarter and is critical below a tenth: the renewal of certificates does not work.',
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
            'Peers per second that the gate refused with 401. expired: a worker does not renew its certificate. untrusted: a wrong or rotated CA, or an unknown peer. The others: a fault of the issuer of the certificates. Click a line for the records, with addresses.',
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
            'Connections per second that ended without a request: over_limit, identity_limit (over the half of one identity), not_in_turn (waited too long for its handshake), tls (no TLS 1.3, or none in time), too_slow, malformed, reset by the peer. A port scan looks like this; over_limit means that real callers wait, not_in_turn a flood of handshakes.',
          width: 8,
          queries: [series(`sum by (reason) (rate(controller_connections_refused_total${RATE}))`, '{{reason}}')],
          unit: 'cps',
          min: 0,
        }),
        graph({
          title: 'Credential reloads',
          description:
            'New certificates, keys or bundles on disk that were loaded (ok) or refused (failed). Failed: the old set stays in use until it expires; the log event credentials_broken names the file.',
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
            'Audit records of refused peers: the reason and the address. A count above 1 is the number in one second, written as one record. The same address repeatedly is a worker with old credentials, or an attack.',
          width: 16,
          queries: [
            logql(
              `{${AUDIT}, event="identity_refused"} | json error="error", address="remote_address", count="count" | line_format "{{.error}} {{.address}} ({{.count}})"`,
              { maxLines: 100 },
            ),
          ],
          noValue: 'no refused peer',
        }),
      ],
    },
    {
      title: 'Process',
      panels: [
        stat({
          title: 'Scraped services',
          description:
            'Whether Prometheus reaches each service of the stack. Down: its panels are empty or frozen, so check the container first.',
          width: 24,
          queries: [now('min by (job) (up)', '{{job}}')],
          unit: 'none',
          mappings: words(['down', 'red'], ['up', 'green']),
        }),
        graph({
          title: 'Event loop delay',
          description:
            'Delay before the controller starts a task; 10 ms is the resolution of the measurement and means no delay. p99 above 50 ms adds to every call: too many calls for one core, or a large policy evaluated in process.',
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
            'Resident memory and JavaScript heap. A heap that only grows over hours is a leak: take a heap snapshot before the restart. Resident memory far above it: buffers of forwarded bodies.',
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
            'Cores in use; the main thread can use one. Near 1: latency will grow. Reduce the calls per process, or see docs/performance.md.',
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
