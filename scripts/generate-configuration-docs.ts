// Writes docs/configuration.md from the configuration schemas; `--check` compares and exits 1 when they differ.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import type { TObject } from 'typebox'
import { ControllerEnv } from '../src/controller/config.ts'
import { allowedBy, type SettingSchema } from '../src/platform/env.ts'
import { WorkerSettings } from '../src/worker/config.ts'

const FILE = fileURLToPath(new URL('../docs/configuration.md', import.meta.url))

// The OpenTelemetry SDK reads them as its specification defines; the text says so if our code reads them too.
const SHIPPING: readonly (readonly [name: string, what: string])[] = [
  [
    'OTEL_EXPORTER_OTLP_LOGS_ENDPOINT',
    'Where the audit log is shipped: an OTLP/HTTP address with its whole path, e.g. `https://collector:4318/v1/logs`. Unset, or with `OTEL_LOGS_EXPORTER=none`: nothing is shipped; `OTEL_EXPORTER_OTLP_ENDPOINT` is the address of traces and is not used for it.',
  ],
  [
    'OTEL_EXPORTER_OTLP_LOGS_HEADERS',
    '`name=value,…` with percent-encoded values, such as `authorization=Bearer%20…`.',
  ],
  [
    'OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY',
    'TLS to the collector: PEM files, read again for each new connection.',
  ],
  [
    'OTEL_EXPORTER_OTLP_LOGS_TIMEOUT, _COMPRESSION, _PROTOCOL',
    'Deadline of a request (ms, default 10000); `gzip` (the default) or `none`; `http/json` is the only protocol.',
  ],
]
const TELEMETRY: readonly [name: string, what: string][] = [
  [
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'Collector, e.g. `http://localhost:4317`. Unset: nothing is exported; logs and audit records have ids, and an incoming `traceparent` goes on unchanged.',
  ],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'The same for traces alone; takes precedence over the general one.'],
  [
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    '`grpc` (the default), `http/protobuf` or `http/json`; any other value is refused, and nothing is exported.',
  ],
  [
    'OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION',
    'Metadata, deadline (ms, default 10000, for a command 1000) and compression of an export.',
  ],
  ['OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY, _INSECURE', 'TLS to the collector: PEM files.'],
  [
    'OTEL_SERVICE_NAME',
    'Name in spans and log lines. Default: `crank-controller`, `crank-worker-<name>`, `crank-cli`.',
  ],
  ['OTEL_RESOURCE_ATTRIBUTES', '`key=value,…`, added to `service.name` and `service.version`.'],
  [
    'OTEL_NODE_RESOURCE_DETECTORS',
    'Default: `service`; `host.name` is always set. `host` costs Jaeger a fifth more; `process` exports the command line, including the payload of `crank invoke --data`.',
  ],
  ['OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG', 'Default: `parentbased_always_on`.'],
  [
    'OTEL_BSP_SCHEDULE_DELAY',
    'Longest wait of a batch (ms). Default: 50, and 200 under load; [performance](performance.md#tracing) has its price.',
  ],
  [
    'OTEL_BSP_MAX_QUEUE_SIZE',
    'Spans that wait for the collector, default 32768 (20 MB when full); spans that do not fit are lost and counted.',
  ],
  [
    'OTEL_BSP_EXPORT_TIMEOUT',
    'How long an undelivered batch is retried (ms), default 600000. One attempt: `OTEL_EXPORTER_OTLP_TIMEOUT`.',
  ],
  ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 'Default and limit: 1024.'],
  ['OTEL_TRACES_EXPORTER', '`otlp`, or `none`, which switches the export off; any other value is refused.'],
  ['OTEL_SDK_DISABLED', '`true` switches the export off.'],
]

// Read by commands; names that a process above also uses have the same meaning.
const COMMANDS: readonly [name: string, fallback: string, what: string][] = [
  [
    'CRANK_ADMIN_URL',
    '`http://127.0.0.1:9001`',
    'Admin listener that `check`, `can-i`, `explain`, `who-can`, `what-can` and `exception list` ask.',
  ],
  [
    'CONTROLLER_URL',
    '`https://127.0.0.1:9000`',
    'Controller that `invoke`, `workers` and `capabilities` call; or several of one mesh, as for workers.',
  ],
  ['CRANK_TLS_CERT, CRANK_TLS_KEY, CRANK_TLS_BUNDLE', 'unset', 'Identity of these commands; `--as` takes precedence.'],
  [
    'SPIFFE_ENDPOINT_SOCKET, CRANK_SVID',
    'unset',
    'The same from a SPIFFE Workload API; `check` and `spiffe fetch` ask it too.',
  ],
  [
    'CRANK_CONTROLLER_ID, CRANK_TRUST_DOMAIN',
    'as above',
    'SPIFFE ID of the controller, and the trust domain of names such as `--who streaming`.',
  ],
  [
    'CRANK_STATE_DIR',
    '`.crank`',
    'Folder of development certificates and the audit log; the demo keeps everything there.',
  ],
  ['CRANK_AUDIT_DIR', '`<CRANK_STATE_DIR>/audit`', 'Folder of the audit logs that commands read.'],
  ['CRANK_POLICY_DIR', '`policies`', 'Policy folder that commands read and edit.'],
  ['OPA_BIN', 'unset', 'OPA that compiles Rego. Unset: the pinned version in the cache, else on PATH.'],
  ['CRANK_CACHE_DIR', '`~/.cache/crank`', 'Folder of the pinned tools.'],
]

const text = `# Configuration

<!-- Made by \`npm run docs:configuration\` from src/controller/config.ts and src/worker/config.ts. Do not edit. -->

A flag takes precedence over the environment, the environment over the default; an empty value counts as unset.
The process reports all faults at once, with name, value and what is allowed, and exits with 2.
Secrets are never values, only paths of files.
Times are in milliseconds; with port 0 the system chooses a port, and the ready log line names it.

Controller and workers do not start with a setting that weakens them: \`NODE_TLS_REJECT_UNAUTHORIZED=0\`, \`SSLKEYLOGFILE\`, or (on the command line or in \`NODE_OPTIONS\`) \`--security-revert\`, \`--tls-keylog\`, \`--insecure-http-parser\`, \`--tls-min-v1.0\`, \`--tls-min-v1.1\`.

## Controller

${table(ControllerEnv)}

## Workers

${table(WorkerSettings)}

## Commands and \`npm run demo\`

| variable | default | what it does |
| --- | --- | --- |
${COMMANDS.map(([name, fallback, what]) => `| ${code(name)} | ${cell(fallback)} | ${cell(what)} |`).join('\n')}

## Unknown names

A variable \`CRANK_*\` or \`OPA_*\` that differs from a known one by one or two letters, or by one part (\`CRANK_AUDIT\`), counts as a mistake: controller, workers and commands refuse to start and suggest the known name.
The controller also refuses \`CRANK_WORKER_HOST\`, a setting of workers, while \`CRANK_WORKER_HOSTS\` is not set.
Any other unknown variable of this kind causes one warning in the log (\`settings_unknown\`) and a line of \`crank check\`.
A program ignores the variables of the project's other programs, and those that Kubernetes sets for a service (\`CRANK_SERVICE_HOST\`, \`OPA_PORT=tcp://…\`).
For a service named \`crank\` Kubernetes sets \`CRANK_PORT\` itself: set the port in the pod, or \`enableServiceLinks: false\`.

## Traces (controller, workers and the commands that call the controller)

Only traces and, where it is set, the audit log are exported: Prometheus scrapes metrics from the admin listener, and logs go to stdout.

| variable | what it does |
| --- | --- |
${TELEMETRY.map(([name, what]) => `| ${code(name)} | ${cell(what)} |`).join('\n')}

## The audit log (controller)

| variable | what it does |
| --- | --- |
${SHIPPING.map(([name, what]) => `| ${code(name)} | ${cell(what)} |`).join('\n')}
`

const page = await format(text, { ...(await resolveConfig(FILE)), parser: 'markdown' })
const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
if (values.check) await compare()
else await writeFile(FILE, page)

async function compare(): Promise<void> {
  if ((await readFile(FILE, 'utf8').catch(() => '')) === page) return
  process.stderr.write('docs/configuration.md is not what the schemas say: run npm run docs:configuration\n')
  process.exitCode = 1
}

function table(schema: TObject): string {
  const rows = Object.entries(schema.properties).map(([name, setting]) =>
    row(name, setting as SettingSchema, schema.required),
  )
  return ['| variable | default | allowed | what it does |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function row(name: string, setting: SettingSchema, required: readonly string[]): string {
  const fallback =
    setting.default === undefined ? (required.includes(name) ? '**required**' : 'unset') : code(shown(setting.default))
  return `| ${code(name)} | ${fallback} | ${cell(allowedBy(setting))} | ${cell(setting.description ?? '')} |`
}

function shown(value: unknown): string {
  return value === '' ? '""' : String(value)
}

// A list of names is one code span each.
function code(text: string): string {
  return text
    .split(', ')
    .map((part) => `\`${part}\``)
    .join(', ')
}

// Outside a code span `<` would begin an HTML tag.
function cell(text: string): string {
  const parts = text.split('`').map((part, at) => (at % 2 === 1 ? part : part.replaceAll('<', '&lt;')))
  return parts.join('`').replaceAll('|', '\\|')
}
