// The server of one row, ready for calls: a controller, a server that only forwards, or a peer.
import { join } from 'node:path'
import type { Pids } from './cpu.ts'
import type { Options } from './options.ts'
import { POLICY_DIR, startController, type Identities } from './parties.ts'
import type { Nginx } from './peers/find-nginx.ts'
import { startPeer } from './peers/start-peer.ts'
import type { Processes } from './processes.ts'
import { HELLO, registerWorker } from './register.ts'
import type { Row } from './rows.ts'

/** How the servers are to be profiled. */
export type Profile = Pick<Options, 'cpuProf' | 'perf'>

export type Place = {
  /** Settings of the controllers of all rows, over their own. */
  readonly set: NodeJS.ProcessEnv
  readonly processes: Processes
  readonly dir: string
  readonly identities: Identities
  readonly workerPort: number
  readonly profile: Profile
  readonly nginx: Nginx | undefined
  /** Left out: the shipped policy, and the capability of the hello world worker. */
  readonly mesh?: { readonly policyDir: string; readonly capabilities: readonly (typeof HELLO)[] }
}

/** `adminUrl`: of a controller. */
type RunningServer = { readonly port: number; readonly pids: Pids; readonly adminUrl?: string }

/** The worker registers once for the whole run, without heartbeats. */
const HEARTBEAT_INTERVAL_MS = 3_600_000

/** @param extra settings of a controller beside those of its row */
export async function startServer(place: Place, row: Row, extra: NodeJS.ProcessEnv): Promise<RunningServer> {
  const { processes, dir, identities, workerPort, nginx, set, mesh } = place
  const { name } = row
  const identity = identities.controller
  const nodeArgs = profileArgs(place, name)
  const settings = {
    ...identity,
    CRANK_POLICY_DIR: mesh?.policyDir ?? POLICY_DIR,
    CRANK_STATE_DIR: join(dir, name),
    OPA_TIMEOUT_MS: '60000',
    CRANK_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_INTERVAL_MS),
  }
  const registered = async <Server extends { pid: number; port: number }>(server: Server) => {
    const { pid, port } = server
    const capabilities = mesh?.capabilities ?? [HELLO]
    await registerWorker({ port, workerPort, identity: identities['worker-hello-world'], capabilities })
    return { ...server, pids: { controller: pid } }
  }
  switch (row.server) {
    case 'nginx':
      if (nginx === undefined) throw new Error(`row ${name} needs nginx`)
      return startPeer(processes, {
        ...{ name, nginx, dir, workerPort, identity },
        ...{ policy: row.policy, dataDir: mesh?.policyDir },
      })
    case 'bare': {
      const env = { ...identity, BENCH_WORKER_PORT: String(workerPort) }
      const { pid, port } = await processes.run('bare-forward.ts', env, nodeArgs)
      return { port, pids: { controller: pid } }
    }
    case 'forward':
      return registered(await processes.run('forward-only.ts', settings, nodeArgs))
    case undefined:
      return registered(
        await startController(processes, { name, env: { ...settings, ...row.env, ...set, ...extra }, nodeArgs }),
      )
    default:
      return row satisfies never
  }
}

function profileArgs({ profile: { cpuProf, perf } }: Place, name: string): string[] {
  return [
    ...(cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(cpuProf, name)}`]),
    // Writes /tmp/perf-<pid>.map, where perf looks for the names of compiled functions.
    ...(perf ? ['--perf-basic-prof-only-functions'] : []),
  ]
}
