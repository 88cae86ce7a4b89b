// Everything a run needs, started and ready: certificates, worker, load generator, OPA, collector, and one server per
// row with the worker registered through the real /register.
import { join } from 'node:path'
import { freePort } from '../lab/free-port.ts'
import { opaArguments } from '../lab/opa-server.ts'
import { findTool } from '../tools/native-tools.ts'
import type { Pids } from './cpu.ts'
import { isAnswering, until } from './loopback.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import type { Processes, Script } from './processes.ts'
import { registerWorker } from './register.ts'
import type { Row } from './rows.ts'
import { setStage, type Stage } from './stage.ts'

/** A server under load, and the processes that work for it. */
export type Target = { readonly row: Row; readonly port: number; readonly pids: Pids }

export type Lab = Stage & {
  readonly targets: readonly Target[]
  readonly generator: Script
  readonly policy: Script
  readonly policyDir: string
  readonly opa: { readonly url: string; readonly pid: number } | undefined
}

type Needs = {
  readonly rows: readonly Row[]
  readonly opa: boolean
  readonly cpuProf: string | undefined
  readonly stop: AbortSignal
}

/** The worker registers once for the whole run, without heartbeats. */
const HEARTBEAT_INTERVAL_MS = 3_600_000

/** Starts everything. */
export function openLab(needs: Needs): Promise<Lab> {
  return setStage(needs.stop, async (dir, processes) => ({
    ...(await startParts(needs, dir, processes)),
    policyDir: POLICY_DIR,
  }))
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
        : await startController(processes, { name: row.name, env, nodeArgs: profile })
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
