// The setup for the trace rows: a real Jaeger with observability/jaeger.yaml, and for each row a controller and a real
// worker that export to it.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { createJaegerQuery, type JaegerQuery } from '../lab/jaeger-query.ts'
import { createAdminClient } from '../demo/admin.ts'
import { planJaeger, type JaegerPlan } from '../tools/jaeger-plan.ts'
import { findTool } from '../tools/native-tools.ts'
import type { Pids } from './cpu.ts'
import { isAnswering, until } from './loopback.ts'
import { mintIdentities, POLICY_DIR, startController, type Identities } from './parties.ts'
import type { Processes, Script } from './processes.ts'
import { ROOT, setStage, type Stage } from './stage.ts'
import { TRACE_ROWS, type TraceRowName } from './trace-rows.ts'

export type TraceTarget = {
  readonly name: TraceRowName
  readonly exporting: boolean
  readonly port: number
  readonly pids: Pids
}
export type TraceLab = Stage & {
  readonly targets: readonly TraceTarget[]
  readonly generator: Script
  readonly jaeger: JaegerQuery
  /** The identity of the calls. */
  readonly caller: ConnectionOptions
}

/** Path of Jaeger, or the sentence that says why there is none. */
export async function lookForJaeger(): Promise<{ readonly file: string } | { readonly unavailable: string }> {
  return findTool('jaeger').then(
    (file) => ({ file }),
    (cause: unknown) => ({ unavailable: cause instanceof Error ? cause.message : String(cause) }),
  )
}

/** Starts everything. */
export function openTraceLab({ file, stop }: { file: string; stop: AbortSignal }): Promise<TraceLab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const generator = await processes.run('generator.ts', identities['worker-streaming'])
    // In place of Tempo: the copies are made and received, as in a whole stack.
    const tempo = await processes.run('otlp-sink.ts', {})
    const plan = await planJaeger({ dir: join(dir, 'jaeger'), tempo: `127.0.0.1:${tempo.port}` })
    const jaeger = await startJaeger(processes, file, plan)
    const targets: TraceTarget[] = []
    for (const row of TRACE_ROWS) {
      const otel = row.env === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: plan.otlpUrl, ...row.env }
      const { controller, worker } = await startPair(processes, { name: row.name, dir, identities, otel })
      const exporting = row.env !== undefined
      const own = { controller: controller.pid, worker: worker.pid, generator: generator.pid }
      const pids = exporting ? { ...own, jaeger: jaeger.pid } : own
      targets.push({ name: row.name, exporting, port: controller.port, pids })
    }
    const caller = await readIdentity(identities['worker-streaming'])
    return { targets, generator, jaeger: createJaegerQuery(plan.queryUrl), caller }
  })
}

async function startJaeger(processes: Processes, file: string, plan: JaegerPlan): Promise<{ readonly pid: number }> {
  const jaeger = processes.start({ name: 'jaeger', file, args: plan.args, env: plan.env })
  await until('Jaeger answers', () => isAnswering(plan.statusUrl))
  return jaeger
}

type Pair = {
  readonly name: string
  readonly dir: string
  readonly identities: Identities
  readonly otel: NodeJS.ProcessEnv
}

/** Starts a controller, and a worker that registers with it. */
async function startPair(processes: Processes, { name, dir, identities, otel }: Pair) {
  const stateDir = join(dir, name)
  await mkdir(stateDir, { mode: 0o700 })
  const common = { ...otel, CRANK_POLICY_DIR: POLICY_DIR, CRANK_STATE_DIR: stateDir }
  const controller = await startController(processes, { name, env: { ...common, ...identities.controller } })
  const worker = processes.start({
    name: `worker-${name}`,
    file: process.execPath,
    args: [join(ROOT, 'bin/crank.js'), 'worker', 'hello_world'],
    env: { ...common, ...identities['worker-hello-world'], CONTROLLER_URL: `https://127.0.0.1:${controller.port}` },
  })
  const admin = createAdminClient(controller.adminUrl)
  await until(`the worker of row ${name} is live`, async () => (await admin.liveWorkers()) > 0)
  return { controller, worker }
}

async function readIdentity(env: NodeJS.ProcessEnv): Promise<ConnectionOptions> {
  const read = (variable: string): Promise<Buffer> => readFile(env[variable] ?? '')
  return { cert: await read('CRANK_TLS_CERT'), key: await read('CRANK_TLS_KEY'), ca: await read('CRANK_TLS_BUNDLE') }
}
