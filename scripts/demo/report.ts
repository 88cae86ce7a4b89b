// The output of the demo: results for people, or as JSON.
import { formatRecord } from '../../src/cli/audit-tail.ts'
import { paint, writeLine } from '../../src/cli/output.ts'
import { printable } from '../../src/core/printable.ts'
import type { Jaeger } from './jaeger.ts'
import type { Mesh } from './mesh.ts'
import type { Answered, Results, Streamed } from './results.ts'
import type { FoundTrace, Traces } from './traces.ts'

type Seen = Answered | Streamed

/** The object that `--json` prints; scripts/check-demo-output.ts checks it. `trace_url`: with --trace; null: not found. */
export function toJson({ allowed, denied, streamed, audit, metrics, engine }: Results, traces?: Traces) {
  const traced = (call: keyof Traces) => (traces === undefined ? {} : { trace_url: traces[call]?.url ?? null })
  return {
    allowed: { ...answered(allowed), ...traced('allowed') },
    denied: { ...answered(denied), ...traced('denied') },
    streamed: {
      ...traced('streamed'),
      status: streamed.status,
      events: streamed.events.length,
      first_event_ms: streamed.firstEventMs,
      decision_id: streamed.decisionId,
      trace_id: streamed.traceId,
    },
    audit,
    metrics,
    engine,
  }
}

type Found = { readonly jaeger: Jaeger; readonly traces: Traces }

/** Prints the three calls, the audit log, the counts, and where the traces are. */
export function printResults(results: Results, found?: Found): void {
  const { caller, allowed, denied, streamed, audit, metrics, engine } = results
  const traced = (call: keyof Traces): [string, string][] =>
    found === undefined ? [] : [['jaeger', describeTrace(found.traces[call])]]
  print(`\nThree calls as ${bold(caller)}, decided by ${engine}:`)
  printCall('allowed', 'green', allowed, [['body', JSON.stringify(allowed.body)]], traced('allowed'))
  printCall('denied', 'red', denied, [['body', JSON.stringify(denied.body)]], traced('denied'))
  const events = streamed.events.map(({ data }, index): [string, string] => [`event ${index + 1}`, printable(data)])
  const first: [string, string] = ['first', `after ${String(streamed.firstEventMs)} ms`]
  printCall('streamed', 'green', streamed, [...events, first], traced('streamed'))
  const chain = audit.verified ? 'hash chain intact' : 'HASH CHAIN BROKEN'
  print(`\nAudit log ${bold(audit.file)}: ${audit.records} records, ${chain}`)
  print(`Counted: ${metrics.allow} allowed, ${metrics.deny} denied (controller_policy_decisions_total)`)
  if (found === undefined) printTracesAt(allowed.traceId)
  else printJaeger(found.jaeger)
}

/** Prints commands to try next. */
export function printWaysOn(mesh: Mesh, { denied, allowed }: Results): void {
  const { certFile, keyFile, bundlePath } = mesh.caller.identity
  const place = mesh.stateDir === '.crank' ? '' : ` --state-dir ${mesh.stateDir}`
  const at = `${mesh.controllerUrl === 'https://127.0.0.1:9000' ? '' : ` --controller-url ${mesh.controllerUrl}`}${place}`
  const spansTo = spansVariable(process.env)
  const adminAt = mesh.admin.url === 'http://127.0.0.1:9001' ? '' : ` --admin-url ${mesh.admin.url}`
  print(`
Continue in another terminal, in this folder:
  curl --cacert ${bundlePath} --cert ${certFile} --key ${keyFile} \\
       -H 'content-type: application/json' -d '${JSON.stringify(allowed.request)}' \\
       ${mesh.controllerUrl}/route
  ${spansTo}npm run crank -- invoke ${denied.request.verb} ${denied.request.capability} --as streaming${at}
  npm run crank -- audit tail -f --deny${place}
  ${spansTo}npm run crank -- workers --as streaming${at}
  npm run crank -- check${adminAt}${place}
  curl ${mesh.admin.url}/metrics

Logs are in ${mesh.stateDir}/logs. Ctrl-C stops everything.`)
}

/** The prefix for a command: its span becomes the root of a new trace. Empty if the mesh exports none. */
function spansVariable(env: NodeJS.ProcessEnv): string {
  const name = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']
    ? 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'
    : 'OTEL_EXPORTER_OTLP_ENDPOINT'
  const url = env[name]
  return url === undefined || url === '' ? '' : `${name}=${url} `
}

function printTracesAt(traceId: string): void {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces, OTEL_EXPORTER_OTLP_ENDPOINT: all } = process.env
  const endpoint = traces ?? all
  if (endpoint === undefined || endpoint === '') return
  print(
    `Traces went to ${endpoint}: look for the service crank-controller, in Jaeger http://localhost:16686/trace/${traceId}`,
  )
}

function printJaeger({ url, otlpUrl, hasUi }: Jaeger): void {
  print(`Jaeger: ${url}, which receives spans at OTEL_EXPORTER_OTLP_ENDPOINT=${otlpUrl}`)
  if (hasUi) return
  print(
    `It was built from its Go module, whose UI is a placeholder page; its query API is complete, and the links are to that. In a Jaeger with a UI: ${url}/trace/<trace>`,
  )
}

function describeTrace(trace: FoundTrace | undefined): string {
  if (trace === undefined) return 'NOT FOUND'
  return `${trace.url} (${trace.spans} spans of ${trace.services.join(', ')})`
}

function answered({ status, body, decisionId, traceId }: Answered) {
  return { status, body, decision_id: decisionId, trace_id: traceId }
}

function printCall(
  word: string,
  colour: 'green' | 'red',
  seen: Seen,
  details: [string, string][],
  traced: [string, string][],
): void {
  const { verb, capability } = seen.request
  const record =
    seen.record === undefined ? 'MISSING' : `#${seen.record.seq}  ${formatRecord(seen.record).replaceAll('\n', ' ')}`
  print(`\n${bold(`${verb}:${capability}`)}  ${paint(colour, word)}`)
  const lines: [string, string][] = [['status', String(seen.status)], ...details]
  lines.push(['decision', seen.decisionId], ['trace', seen.traceId], ...traced, ['audit', record])
  for (const [label, value] of lines) print(`  ${label.padEnd(9)} ${value}`)
}

function bold(text: string): string {
  return paint('bold', text)
}

/** Line feeds of the demo itself; JSON.stringify has already escaped those in data. */
function print(line: string): void {
  for (const part of line.split('\n')) writeLine(part)
}
