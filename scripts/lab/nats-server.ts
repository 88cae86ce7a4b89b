// Real NATS servers with JetStream, alone or as a cluster, for tests and demos. With TLS each identity may do what the documents
// give it (docs/operations/mesh.md).
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findTool } from '../tools/native-tools.ts'
import { freePorts } from './free-port.ts'

export type NatsFiles = { readonly certFile: string; readonly keyFile: string; readonly bundlePath: string }

type NatsOptions = {
  /** For configuration and data, one folder per server below it. */
  readonly dir: string
  /** How many servers; default: 1. */
  readonly servers?: number
  /** The servers' own SVID; without it they speak plain text. */
  readonly tls?: NatsFiles
  /** The SPIFFE ID of the servers themselves; only with `tls`. */
  readonly routeUser?: string
  /** The port by which the server `from` reaches the server `to`, counted from 0, that listens for others on `port`. */
  readonly routePort?: (route: { readonly from: number; readonly to: number; readonly port: number }) => Promise<number>
  /** Lines of the `users` list, one per SPIFFE ID; only with `tls`. */
  readonly users?: readonly string[]
}

export type NatsServer = {
  readonly port: number
  readonly name: string
  /** Its process, the one that runs now. */
  readonly child: () => ChildProcess
  /** Sends a signal; resolves at the end of the process, or at once if the signal does not end it. */
  readonly signal: (signal: NodeJS.Signals) => Promise<void>
  /** Starts it again with its data. */
  readonly start: () => Promise<void>
}

export type NatsCluster = AsyncDisposable & {
  readonly servers: readonly NatsServer[]
  /** For CRANK_NATS_URL. */
  readonly url: string
}

const HOST = '127.0.0.1'
const START_MS = 20_000
const MAX_ERRORS = 2000

/** Starts the servers and waits until each accepts connections; the leader of a cluster may come a moment later. */
export async function startNats(options: NatsOptions): Promise<NatsCluster> {
  const { dir, servers: count = 1, tls, routePort } = options
  const program = await findTool('nats-server')
  const ports = await freePorts(2 * count)
  const routesOf = (from: number): Promise<string[]> =>
    Promise.all(
      ports.slice(count).map(async (port, to) => {
        const via = from === to ? port : ((await routePort?.({ from, to, port })) ?? port)
        return `nats-route://${HOST}:${via}`
      }),
    )
  const servers = await Promise.all(
    ports.slice(0, count).map(async (port, at) => {
      const name = `n${at + 1}`
      const folder = join(dir, name)
      await mkdir(folder, { recursive: true })
      const file = join(folder, 'nats.conf')
      const cluster = count > 1 ? { port: ports[count + at] ?? 0, routes: await routesOf(at) } : undefined
      await writeFile(file, configuration(options, { name, port, folder, cluster }))
      const server = createServer(program, { file, port, name })
      await server.start()
      return server
    }),
  )
  return {
    servers,
    url: servers.map(({ port }) => `${tls === undefined ? 'nats' : 'tls'}://${HOST}:${port}`).join(),
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.signal('SIGKILL')))
    },
  }
}

function createServer(program: string, { file, port, name }: { file: string; port: number; name: string }): NatsServer {
  let child: ChildProcess
  return {
    port,
    name,
    child: () => child,
    async signal(signal) {
      const isRunning = child.exitCode === null && child.signalCode === null
      const ended = isRunning ? once(child, 'exit') : undefined
      child.kill(signal)
      if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await ended
    },
    async start() {
      child = spawn(program, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
      let errors = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-MAX_ERRORS)))
      await accepts(port, child).catch((cause: unknown) => Promise.reject(new Error(errors, { cause })))
    },
  }
}

async function accepts(port: number, child: ChildProcess): Promise<void> {
  const endMs = performance.now() + START_MS
  while (performance.now() < endMs) {
    if (child.exitCode !== null) throw new Error(`nats-server ended with ${String(child.exitCode)}`)
    const socket = connect(port, HOST)
    const [event] = await Promise.race([
      once(socket, 'connect').then(() => ['connect']),
      once(socket, 'error').then(() => ['error']),
    ]).catch(() => ['error'])
    socket.destroy()
    if (event === 'connect') return
    await delay(50)
  }
  throw new Error(`nats-server does not listen on ${port}`)
}

type Place = {
  readonly name: string
  readonly port: number
  readonly folder: string
  readonly cluster: { readonly port: number; readonly routes: readonly string[] } | undefined
}

function configuration({ tls, users = [], routeUser }: NatsOptions, { name, port, folder, cluster }: Place): string {
  const files = tls && `cert_file: "${tls.certFile}", key_file: "${tls.keyFile}", ca_file: "${tls.bundlePath}"`
  const lines = [
    `server_name: ${name}`,
    `listen: "${HOST}:${port}"`,
    `jetstream { store_dir: "${folder}", max_file_store: 2G }`,
  ]
  if (files !== undefined) {
    lines.push(`tls { ${files}, verify_and_map: true, timeout: 5 }`)
    lines.push(`authorization { users: [\n${users.join('\n')}\n] }`)
  }
  if (cluster !== undefined) {
    const routes = cluster.routes.map((route) => `"${route}"`).join(', ')
    // Without the user any identity of the trust domain could join as a server.
    const secured =
      files === undefined || routeUser === undefined
        ? ''
        : `authorization { user: "${routeUser}" }\ntls { ${files}, verify_and_map: true, timeout: 5 }`
    lines.push(
      `cluster {\nname: crank\nlisten: "${HOST}:${cluster.port}"\nno_advertise: true\nroutes: [${routes}]\n${secured}\n}`,
    )
  }
  return `${lines.join('\n')}\n`
}
