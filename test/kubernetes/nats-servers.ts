// Real NATS servers with exactly the nats.conf of deploy/kubernetes: only paths, addresses and host names are mapped.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { freePorts } from '../../scripts/lab/free-port.ts'
import { findTool } from '../../scripts/tools/native-tools.ts'
import type { Issued } from '../fixtures/pki/ca.ts'

/** What the helper writes for NATS. */
export type Svid = { readonly issued: Issued; readonly bundlePem: string }
type Ports = { readonly client: number; readonly cluster: number; readonly health: number }
export type NatsServer = {
  readonly ports: Ports
  readonly child: ChildProcess
  readonly pidFile: string
  /** What it has written to its log. */
  readonly log: () => string
  /** Writes another SVID in place of its own, as the helper does. */
  readonly replaceSvid: (svid: Svid) => Promise<void>
}
type ServerOptions = { readonly name: string; readonly ports: Ports; readonly svid: Svid }

export async function portsOf(count: number): Promise<Ports[]> {
  const free = await freePorts(3 * count)
  return Array.from({ length: count }, (_, at) => {
    const [client = 0, cluster = 0, health = 0] = free.slice(3 * at)
    return { client, cluster, health }
  })
}

/** Starts one. `all` are the ports of nats-0, nats-1, …, for the routes. */
export async function startServer(
  config: string,
  dir: string,
  { name, ports, svid, all }: ServerOptions & { all: readonly Ports[] },
): Promise<NatsServer> {
  const folder = join(dir, name)
  await mkdir(folder, { recursive: true })
  const text = config
    .replaceAll(/nats-(\d)\.nats:6222/g, (_, number: string) => `localhost:${all[Number(number)]?.cluster ?? 0}`)
    .replaceAll(/0\.0\.0\.0:(\d+)/g, (_, port: string) => `127.0.0.1:${ports[PORTS[port] ?? 'client']}`)
    .replaceAll(/"\/(svid|data|run\/nats)/g, `"${folder}`)
  const file = join(folder, 'nats.conf')
  await writeFile(file, text)
  const replaceSvid = async ({ issued, bundlePem }: Svid): Promise<void> => {
    await Promise.all([
      replace(join(folder, 'svid.pem'), issued.chainPem),
      replace(join(folder, 'key.pem'), issued.keyPem),
      replace(join(folder, 'bundle.pem'), bundlePem),
    ])
  }
  await replaceSvid(svid)
  const child = spawn(await findTool('nats-server'), ['--config', file], {
    env: { POD_NAME: name },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  child.once('exit', () => process.off('exit', onExit))
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      log += chunk
    })
  const pidFile = join(folder, 'nats.pid')
  return { ports, child, pidFile, log: () => log, replaceSvid }
}

const PORTS: Readonly<Record<string, keyof Ports>> = { 4222: 'client', 6222: 'cluster', 8222: 'health' }

export async function killAll(servers: readonly NatsServer[]): Promise<void> {
  for (const { child } of servers) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** The answer to CONNECT and PING of a client with an SVID, and the certificate of the server: `PONG`, or `-ERR '…'`. */
export async function ask(port: number, { issued, bundlePem }: Svid): Promise<{ says: string; peer: PeerCertificate }> {
  const plain = connectTcp(port, '127.0.0.1')
  // The server greets in plain text, and says there that it wants TLS.
  const greeting = await lineOf(plain)
  if (!greeting.includes('"tls_required":true')) throw new Error(`no TLS is required: ${greeting}`)
  const secure = connectTls({
    socket: plain,
    servername: 'localhost',
    cert: issued.chainPem,
    key: issued.keyPem,
    ca: bundlePem,
  })
  try {
    await once(secure, 'secureConnect')
    secure.write('CONNECT {"verbose":false,"tls_required":true}\r\nPING\r\n')
    return { says: await lineOf(secure), peer: secure.getPeerCertificate() }
  } finally {
    secure.destroy()
  }
}

async function lineOf(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8')
    if (text.includes('\r\n')) break
  }
  return text.split('\r\n')[0] ?? ''
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
