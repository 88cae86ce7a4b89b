// Everything a run needs, up and ready: certificates, worker, load generator, OPA, collector, and one server per row with
// the worker registered at it through the real /register.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseTrustDomain } from '../../src/core/spiffe-id.ts'
import { ensureDevPki } from '../../src/platform/dev-pki.ts'
import { freePort } from '../../test/fixtures/free-port.ts'
import { opaArguments } from '../../test/fixtures/opa-server.ts'
import { findTool } from '../tools/native-tools.ts'
import type { Pids } from './cpu.ts'
import { isAnswering, until } from './loopback.ts'
import { createProcesses, type Processes, type Script } from './processes.ts'
import { registerWorker } from './register.ts'
import type { Row } from './rows.ts'

/** A server to be loaded, and the processes that work for it. */
export type Target = { readonly row: Row; readonly port: number; readonly pids: Pids }

export type Lab = AsyncDisposable & {
  readonly targets: readonly Target[]
  readonly generator: Script
  readonly policy: Script
  readonly policyDir: string
  readonly opa: { readonly url: string; readonly pid: number } | undefined
  /** Settles as `work` does, or rejects as soon as a process dies or the run is stopped. */
  readonly unlessBroken: <T>(work: Promise<T>) => Promise<T>
}

type Needs = {
  readonly rows: readonly Row[]
  readonly opa: boolean
  readonly cpuProf: string | undefined
  readonly stop: AbortSignal
}

const ROOT = join(import.meta.dirname, '..', '..')
const POLICY_DIR = join(ROOT, 'policies')
const TRUST_DOMAIN = parseTrustDomain('crank.local')
const PARTIES = ['controller', 'worker-streaming', 'worker-hello-world'] as const
/** Registered once, for the whole run: nobody sends heartbeats. */
const HEARTBEAT_INTERVAL_MS = 3_600_000

/** Starts it all below `.crank`, a folder on the disk that a controller would use: /tmp may be memory. */
export async function openLab(needs: Needs): Promise<Lab> {
  const crank = join(ROOT, '.crank')
  await mkdir(crank, { recursive: true, mode: 0o700 })
  const dir = await mkdtemp(join(crank, 'bench-'))
  const processes = createProcesses(dir)
  const stopped = whenStopped(needs.stop)
  const unlessBroken = <T>(work: Promise<T>): Promise<T> => Promise.race([work, processes.broken, stopped])
  const dispose = async (): Promise<void> => {
    await processes.stop()
    await rm(dir, { recursive: true, force: true })
  }
  const starting = startParts(needs, dir, processes)
  try {
    const parts = await unlessBroken(starting)
    return { ...parts, policyDir: POLICY_DIR, unlessBroken, [Symbol.asyncDispose]: dispose }
  } catch (cause: unknown) {
    await processes.stop()
    // What was under way comes to its end first: it may still write into the folder.
    await Promise.allSettled([starting])
    await dispose()
    throw cause
  }
}

/** Rejects with the signal's reason. */
function whenStopped(stop: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  if (stop.aborted) reject(stop.reason as Error)
  stop.addEventListener('abort', () => reject(stop.reason as Error), { once: true })
  return promise
}

async function startParts({ rows, opa: needsOpa, cpuProf }: Needs, dir: string, processes: Processes) {
  const identities = await mintIdentities(join(dir, 'pki'))
  const worker = await processes.run('worker.ts', identities['worker-hello-world'])
  const generator = await processes.run('generator.ts', identities['worker-streaming'])
  const policy = await processes.run('policy.ts', {})
  const opa = needsOpa ? await startOpa(processes) : undefined
  const collector = rows.some(({ needs }) => needs.collector) ? await processes.run('otlp-sink.ts', {}) : undefined
  const targets: Target[] = []
  for (const row of rows) {
    const profile = cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(cpuProf, row.name)}`]
    const env: NodeJS.ProcessEnv = {
      ...identities.controller,
      CRANK_POLICY_DIR: POLICY_DIR,
      CRANK_STATE_DIR: join(dir, row.name),
      OPA_TIMEOUT_MS: '60000',
      CRANK_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_INTERVAL_MS),
      ...row.env,
      ...(row.needs.opa && { OPA_URL: opa?.url }),
      ...(row.needs.collector && { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector?.port ?? 0}` }),
    }
    const server =
      row.env === undefined
        ? await startForwarding(processes, env, profile)
        : await startController(processes, row, env, profile)
    await registerWorker({
      port: server.port,
      workerPort: worker.port,
      identity: identities['worker-hello-world'],
    })
    targets.push({
      row,
      port: server.port,
      pids: {
        controller: server.pid,
        worker: worker.pid,
        generator: generator.pid,
        ...(row.needs.opa && opa !== undefined && { opa: opa.pid }),
        ...(row.needs.collector && collector !== undefined && { collector: collector.pid }),
      },
    })
  }
  return { targets, generator, policy, opa }
}

/** The variables that give a process its identity, by name. */
async function mintIdentities(dir: string): Promise<Record<(typeof PARTIES)[number], NodeJS.ProcessEnv>> {
  const files = await ensureDevPki({ dir, trustDomain: TRUST_DOMAIN, names: PARTIES, now: Date.now })
  const env = {} as Record<(typeof PARTIES)[number], NodeJS.ProcessEnv>
  for (const name of PARTIES) {
    const { certFile, keyFile, bundlePath } = files[name]
    env[name] = { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath }
  }
  return env
}

async function startOpa(processes: Processes): Promise<{ url: string; pid: number }> {
  const port = await freePort()
  const args = opaArguments(POLICY_DIR, `127.0.0.1:${port}`)
  const { pid } = processes.start({ name: 'opa', file: await findTool('opa'), args, env: {} })
  const url = `http://127.0.0.1:${port}`
  await until('OPA answers', () => isAnswering(`${url}/health`))
  return { url, pid }
}

async function startForwarding(processes: Processes, env: NodeJS.ProcessEnv, nodeArgs: readonly string[]) {
  return processes.run('forward-only.ts', env, nodeArgs)
}

async function startController(
  processes: Processes,
  { name }: Row,
  env: NodeJS.ProcessEnv,
  nodeArgs: readonly string[],
) {
  // Chosen here and not by the system: a controller that logs nothing cannot say which ports it got.
  const [port, adminPort] = [await freePort(), await freePort()]
  const { pid } = processes.start({
    name: `controller-${name}`,
    file: process.execPath,
    args: [...nodeArgs, join(ROOT, 'bin/crank.js'), 'controller'],
    env: { ...env, CRANK_PORT: String(port), CRANK_ADMIN_PORT: String(adminPort) },
  })
  await until(`the controller of row ${name} is ready`, () => isAnswering(`http://127.0.0.1:${adminPort}/readyz`))
  return { pid, port }
}
