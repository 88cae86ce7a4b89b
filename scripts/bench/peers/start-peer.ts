// Starts the peer: nginx, with njs and an OPA of its own where it decides. Both run as the current user and end with the
// bench.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, freePorts } from '../../lab/free-port.ts'
import { findTool } from '../../tools/native-tools.ts'
import type { Pids } from '../cpu.ts'
import { isAnswering, until } from '../loopback.ts'
import { POLICY_DIR, WORKER_DNS_NAME } from '../parties.ts'
import type { Processes } from '../processes.ts'
import type { PeerPolicy } from '../rows.ts'
import type { Nginx } from './find-nginx.ts'
import { nginxConf } from './nginx-conf.ts'

const REGO_DIR: Record<PeerPolicy, string> = {
  current: POLICY_DIR,
  bac95cf: join(import.meta.dirname, 'policy-bac95cf'),
}

type PeerOptions = {
  readonly name: string
  readonly nginx: Nginx
  /** The folder of the run; the peer makes its own in it. */
  readonly dir: string
  readonly workerPort: number
  /** The certificate, key and bundle of the controller, in whose place the peer stands. */
  readonly identity: NodeJS.ProcessEnv
  /** Left out: a proxy without a policy. */
  readonly policy?: PeerPolicy | undefined
  /** The policy folder whose data the OPA has; left out: the shipped one. */
  readonly dataDir?: string | undefined
}

/** `controller` in `pids` is nginx: one process, which is master and worker in one. */
export type Peer = { readonly port: number; readonly pids: Pids }

/** Starts the peer and waits until it answers. */
export async function startPeer(processes: Processes, options: PeerOptions): Promise<Peer> {
  const { name, policy, dataDir = POLICY_DIR } = options
  if (policy === undefined) return startNginx(processes, options)
  const opa = await startPeerOpa(processes, { name, policy, dataDir })
  const { port, pids } = await startNginx(processes, { ...options, opaPort: opa.port })
  return { port, pids: { ...pids, opa: opa.pid } }
}

/** nginx alone; `opaPort`: where it asks, left out for a proxy without a policy. */
export async function startNginx(
  processes: Processes,
  options: Omit<PeerOptions, 'policy'> & { readonly opaPort?: number },
): Promise<Peer> {
  const { name, nginx, workerPort, identity, opaPort } = options
  const dir = join(options.dir, `peer-${name}`)
  await mkdir(dir, { mode: 0o700 })
  const [port, healthPort] = (await freePorts(2)) as [number, number]
  const conf = nginxConf({
    dir,
    port,
    healthPort,
    workerPort,
    workerName: WORKER_DNS_NAME,
    certFile: identity['CRANK_TLS_CERT'] ?? '',
    keyFile: identity['CRANK_TLS_KEY'] ?? '',
    bundleFile: identity['CRANK_TLS_BUNDLE'] ?? '',
    ...(opaPort !== undefined && { opa: { port: opaPort, njsModule: nginx.njsModule } }),
  })
  const file = join(dir, 'nginx.conf')
  await writeFile(file, conf)
  // -e: without it nginx opens its compiled-in log first, which belongs to root.
  const args = ['-p', dir, '-e', 'stderr', '-c', file]
  const { pid } = processes.start({ name: `nginx-${name}`, file: nginx.file, args, env: {} })
  await until(`nginx of row ${name} answers`, () => isAnswering(`http://127.0.0.1:${healthPort}/health`))
  return { port, pids: { controller: pid } }
}

/** OPA as one would start it beside nginx: on loopback, without authorization of its own requests, no files watched. */
async function startPeerOpa(
  processes: Processes,
  { name, policy, dataDir }: { name: string; policy: PeerPolicy; dataDir: string },
) {
  const port = await freePort()
  const rego = ['common.rego', 'capability_access.rego'].map((file) => join(REGO_DIR[policy], file))
  const data = ['worker_manifests', 'enforcement', 'blocked'].map((file) => join(dataDir, 'data', `${file}.json`))
  const switches = ['run', '--server', `--addr=127.0.0.1:${port}`, '--log-level=error', '--skip-version-check']
  const { pid } = processes.start({
    name: `opa-${name}`,
    file: await findTool('opa'),
    args: [...switches, ...rego, ...data, `exceptions:${join(dataDir, 'data/exceptions.json')}`],
    env: {},
  })
  await until(`OPA of row ${name} answers`, () => isAnswering(`http://127.0.0.1:${port}/health`))
  return { port, pid }
}
