// The demo's mesh: certificates, controller, two workers and optionally an OPA sidecar, started and ready.
import { createServer } from 'node:net'
import { join } from 'node:path'
import { auditDirIn, slotFolder } from '../../src/audit/places.ts'
import { NO_DEBUGGER } from '../../bin/node-24.js'
import { parseSpiffeId, parseTrustDomain } from '../../src/core/spiffe-id.ts'
import { devFiles, PKI_FOLDER, type ClientConfig } from '../../src/cli/client-config.ts'
import { childEnvironment } from '../../src/platform/env.ts'
import { ensureDevPki } from '../../src/platform/tls/dev-pki.ts'
import { workerNames } from '../../src/workers/registry.ts'
import { createAdminClient, type AdminClient } from './admin.ts'
import { DemoError, isStop, say } from './errors.ts'
import { LOGS, takeFolders } from './folders.ts'
import { JAEGER_PORT, jaegerCommand, untilJaegerIsUp, type Jaeger } from './jaeger.ts'
import { opaCommand } from './opa.ts'
import type { Options } from './options.ts'
import { createProcesses, readLog, type Command, type ProcessLog, type Processes } from './processes.ts'
import { waitFor } from './stop.ts'

export type Mesh = AsyncDisposable & {
  readonly controllerUrl: string
  readonly admin: AdminClient
  /** The identity of the demo's calls. */
  readonly caller: ClientConfig & { readonly identity: { readonly from: 'files' } }
  readonly stateDir: string
  readonly auditLog: string
  /** With --trace. */
  readonly jaeger: Jaeger | undefined
  /** Settles like `work`, or rejects as soon as a process of the mesh ends. */
  unlessBroken<T>(work: Promise<T>): Promise<T>
}

type Ports = { readonly port: number; readonly adminPort: number }

const ROOT = join(import.meta.dirname, '..', '..')
const HOST = '127.0.0.1'
const TRUST_DOMAIN = parseTrustDomain('crank.local')
/** The workers that the three calls need. */
const CALLED = ['hello_world', 'streaming']
/** Long enough for a cold start on a busy machine; ends at once when a process dies. */
const READY_MS = 60_000
/**
 * Only these variables are added to the standard ones: settings of the shell for another controller must not reach
 * this one.
 */
const isForTraces = (name: string): boolean => name.startsWith('OTEL_')

/** Starts everything and waits until all workers are live. @throws {DemoError}; AbortError when stopped meanwhile */
export async function startMesh(options: Options, stop: AbortSignal): Promise<Mesh> {
  const { port, trace } = options
  const folders = await takeFolders(options, ROOT)
  let failed = false
  let processes: Processes | undefined
  const dispose = async () => {
    await processes?.stop()
    await folders.release({ failed })
  }
  try {
    if (port !== 0) await requireFreePorts([port, port + 1, ...(trace ? [JAEGER_PORT] : [])])
    const started = createProcesses(join(folders.stateDir, LOGS))
    processes = started
    void started.broken.catch(() => (failed = true))
    const unlessBroken = <T>(work: Promise<T>) => Promise.race([work, started.broken])
    const { ports, jaeger } = await unlessBroken(startProcesses(options, { ...folders, processes, stop }))
    return { ...describeMesh(ports, folders.stateDir), jaeger, unlessBroken, [Symbol.asyncDispose]: dispose }
  } catch (cause: unknown) {
    failed = processes !== undefined && !isStop(cause)
    await dispose()
    throw cause
  }
}

type Start = {
  readonly stateDir: string
  readonly socketDir: string
  readonly processes: Processes
  readonly stop: AbortSignal
}

async function startProcesses(options: Options, start: Start): Promise<{ ports: Ports; jaeger: Jaeger | undefined }> {
  const { stateDir, processes } = start
  const workers = options.all ? workerNames : CALLED
  const names = ['controller', ...workers.map(certificateOf)]
  await ensureDevPki({ dir: join(stateDir, PKI_FOLDER), trustDomain: TRUST_DOMAIN, names, now: Date.now })
  const side = await startSideProcesses(options, start)

  say(`Starting the controller${options.opa ? ' and an OPA sidecar' : ''} …`)
  const opaSetting = side.opaUrl === undefined ? {} : { OPA_URL: side.opaUrl }
  const env = { ...environment(stateDir, 'controller'), ...opaSetting, ...portSettings(options) }
  const log = processes.start(crank('controller', ['controller'], env))
  const ports = await readyPorts(log, start.stop)
  const admin = createAdminClient(adminUrl(ports))
  await untilReady(admin, start.stop)

  say(`Starting the workers ${workers.join(', ')} …`)
  for (const name of workers) {
    const workerEnv = { ...environment(stateDir, certificateOf(name)), CONTROLLER_URL: controllerUrl(ports) }
    processes.start(crank(`worker-${name}`, ['worker', name], workerEnv))
  }
  await untilLive(admin, workers.length, start.stop)
  return { ports, jaeger: side.jaeger }
}

type Side = { readonly jaeger: Jaeger | undefined; readonly opaUrl: string | undefined }

/** The programs beside the mesh. All are found before any is started. */
async function startSideProcesses({ opa, trace, port }: Options, start: Start): Promise<Side> {
  const { stateDir, socketDir, processes, stop } = start
  const queryPort = port === 0 ? undefined : JAEGER_PORT
  const jaegerAt = trace ? await jaegerCommand({ stateDir, queryPort }) : undefined
  const opaAt = opa ? await opaCommand({ root: ROOT, socketDir, otlpAddress: jaegerAt?.plan.otlpAddress }) : undefined
  if (opaAt !== undefined) processes.start(opaAt)
  if (jaegerAt === undefined) return { jaeger: undefined, opaUrl: opaAt?.url }
  say('Starting Jaeger …')
  processes.start(jaegerAt)
  sendSpansTo(jaegerAt.plan.otlpUrl)
  return { jaeger: await untilJaegerIsUp(jaegerAt, stop), opaUrl: opaAt?.url }
}

/** The caller is this process: its spans belong to the traces too. It overrides a collector or sampler of the shell. */
function sendSpansTo(otlpUrl: string): void {
  const names = Object.keys(process.env).filter((name) => name.startsWith('OTEL_'))
  for (const name of names) Reflect.deleteProperty(process.env, name)
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = otlpUrl
}

function describeMesh(
  ports: Ports,
  stateDir: string,
): Omit<Mesh, 'jaeger' | 'unlessBroken' | typeof Symbol.asyncDispose> {
  const url = controllerUrl(ports)
  return {
    controllerUrl: url,
    admin: createAdminClient(adminUrl(ports)),
    caller: {
      controllerUrls: [url],
      controllerId: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`),
      stateDir,
      identity: { from: 'files', ...devFiles(stateDir, certificateOf('streaming'), TRUST_DOMAIN) },
    },
    stateDir,
    auditLog: slotFolder(auditDirIn(stateDir), 0),
  }
}

function controllerUrl({ port }: Ports): string {
  return `https://${HOST}:${port}`
}

function adminUrl({ adminPort }: Ports): string {
  return `http://${HOST}:${adminPort}`
}

function certificateOf(worker: string): string {
  return `worker-${worker.replaceAll('_', '-')}`
}

function crank(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Command {
  return { name, file: process.execPath, args: [NO_DEBUGGER, join(ROOT, 'bin', 'crank.js'), ...args], env }
}

function environment(stateDir: string, certificate: string): NodeJS.ProcessEnv {
  const { certFile, keyFile, bundlePath } = devFiles(stateDir, certificate, TRUST_DOMAIN)
  return {
    ...childEnvironment(process.env, isForTraces),
    CRANK_TRUST_DOMAIN: TRUST_DOMAIN,
    CRANK_TLS_CERT: certFile,
    CRANK_TLS_KEY: keyFile,
    CRANK_TLS_BUNDLE: bundlePath,
    CRANK_STATE_DIR: stateDir,
    CRANK_POLICY_DIR: join(ROOT, 'policies'),
    // The default of 100 ms is for a server; here five processes start at once.
    OPA_TIMEOUT_MS: '1000',
    // Nobody else takes over at the end of the demo.
    CRANK_LAME_DUCK_MS: '0',
  }
}

function portSettings({ port }: Options): NodeJS.ProcessEnv {
  return { CRANK_PORT: String(port), CRANK_ADMIN_PORT: port === 0 ? '0' : String(port + 1) }
}

async function requireFreePorts(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    if (await isFree(port)) continue
    throw new DemoError(
      `Port ${port} is in use, perhaps by another demo: stop it, or run this one beside it with: npm run demo -- --port 0`,
    )
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, HOST, () => server.close(() => resolve(true)))
  })
}

/** The ports from the ready line of the controller's log. */
function readyPorts(log: ProcessLog, stop: AbortSignal): Promise<Ports> {
  const read = (): Promise<Ports | undefined> => Promise.resolve(portsIn(readLog(log)))
  return waitFor(read, { stop, limitMs: READY_MS, give: () => `The controller did not start; see ${log.path}` })
}

function portsIn(log: string): Ports | undefined {
  const line = log.split('\n').find((text) => text.includes('"controller_ready"') && text.endsWith('}'))
  if (line === undefined) return undefined
  const { port, admin_port } = JSON.parse(line) as { port: number; admin_port: number }
  return { port, adminPort: admin_port }
}

async function untilReady(admin: AdminClient, stop: AbortSignal): Promise<void> {
  let reasons = 'no answer'
  const ask = async () => {
    const { ready, faults } = await admin.readiness()
    reasons = faults.join('; ')
    return ready || undefined
  }
  await waitFor(ask, { stop, limitMs: READY_MS, give: () => `The controller did not become ready: ${reasons}` })
}

async function untilLive(admin: AdminClient, wanted: number, stop: AbortSignal): Promise<void> {
  const ask = async () => ((await admin.liveWorkers()) >= wanted ? true : undefined)
  await waitFor(ask, { stop, limitMs: READY_MS, give: () => 'The workers did not register; see their logs' })
}
