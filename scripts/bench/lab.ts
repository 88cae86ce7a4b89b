// Everything a run needs, started and ready: certificates, worker, load generator, OPA, collector, and one server per
// row with the worker registered through the real /register.
import { join } from 'node:path'
import { freePort } from '../lab/free-port.ts'
import { opaArguments } from '../lab/opa-server.ts'
import { findTool } from '../tools/native-tools.ts'
import type { Pids } from './cpu.ts'
import { isAnswering, until } from './loopback.ts'
import { mintIdentities, POLICY_DIR } from './parties.ts'
import type { Nginx } from './peers/find-nginx.ts'
import type { Processes, Script } from './processes.ts'
import type { Row } from './rows.ts'
import { startServer, type Place, type Profile } from './start-server.ts'
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
  readonly profile: Profile
  /** Settings of the controllers of all rows, over their own. */
  readonly set: NodeJS.ProcessEnv
  /** For the rows of peers. */
  readonly nginx: Nginx | undefined
  readonly stop: AbortSignal
}

/** Starts everything. */
export function openLab(needs: Needs): Promise<Lab> {
  return setStage(needs.stop, async (dir, processes) => ({
    ...(await startParts(needs, dir, processes)),
    policyDir: POLICY_DIR,
  }))
}

async function startParts({ rows, opa: needsOpa, profile, set, nginx }: Needs, dir: string, processes: Processes) {
  const identities = await mintIdentities(join(dir, 'pki'))
  const worker = await processes.run('worker.ts', identities['worker-hello-world'])
  const generator = await processes.run('generator.ts', identities['worker-streaming'])
  const policy = await processes.run('policy.ts', {})
  const opa = needsOpa ? await startOpa(processes) : undefined
  const collector = rows.some(({ needs }) => needs.collector) ? await processes.run('otlp-sink.ts', {}) : undefined
  const targets: Target[] = []
  const place: Place = { processes, dir, identities, workerPort: worker.port, profile, set, nginx }
  for (const row of rows) {
    const { port, pids } = await startServer(place, row, {
      ...(row.needs.opa && { OPA_URL: opa?.url }),
      ...(row.needs.collector && { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector?.port ?? 0}` }),
    })
    targets.push({
      row,
      port,
      pids: {
        ...pids,
        worker: worker.pid,
        generator: generator.pid,
        ...(row.needs.opa && opa !== undefined && { opa: opa.pid }),
        ...(row.needs.collector && collector !== undefined && { collector: collector.pid }),
      },
    })
  }
  return { targets, generator, policy, opa }
}

/** OPA as a sidecar of the controller has it. */
export async function startOpa(
  processes: Processes,
  policyDir = POLICY_DIR,
  name = 'opa',
): Promise<{ url: string; pid: number }> {
  const port = await freePort()
  const args = opaArguments(policyDir, `127.0.0.1:${port}`)
  const { pid } = processes.start({ name, file: await findTool('opa'), args, env: {} })
  const url = `http://127.0.0.1:${port}`
  await until(`${name} answers`, () => isAnswering(`${url}/health`))
  return { url, pid }
}
