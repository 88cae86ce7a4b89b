// A real OPA, started with exactly the arguments and environment of a compose file: only paths and addresses are mapped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type Dispatcher } from 'undici'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { freePorts } from '../../scripts/lab/free-port.ts'
import { until } from '../fixtures/until.ts'
import { commandOf, environmentOf, mountsOf, ROOT, service, type Compose } from './compose.ts'

export type ComposeOpa = {
  /** Asks its API, on the socket. */
  ask(path: string, options: AskOptions): Promise<{ status: number; json(): Promise<unknown> }>
  /** The path of the socket. */
  readonly socket: string
  /** Origin of its diagnostic listener. */
  readonly diagnostic: string
  /** Exit code of the health check of the compose file. */
  checkHealth(): Promise<number | null>
  /** The lines that it wrote so far, to either stream. */
  lines(): string[]
  /** SIGTERM, and waits until it is gone. */
  stop(): Promise<void>
}

type AskOptions = {
  readonly method: string
  readonly body?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

const UNDER_LOAD_MS = 60_000

/** Starts it, with further arguments, and waits until its health check passes. */
export async function startComposeOpa(file: Compose, more: readonly string[] = []): Promise<ComposeOpa> {
  const definition = service('opa', file)
  const opa = await findTool('opa')
  const [diagnostic] = (await freePorts(1)) as [number]
  const folder = await mkdtemp(join(tmpdir(), 'compose-opa-'))
  const socket = join(folder, 'opa.sock')
  const mapped = (word: string): string =>
    onHost(word, file)
      .replace('/run/opa/opa.sock', socket)
      .replace(/(?:0\.0\.0\.0|127\.0\.0\.1):8282/, `127.0.0.1:${diagnostic}`)
  const environment = Object.entries(environmentOf(definition)).map(([name, value]) => [name, mapped(value)])
  const args = [...commandOf(definition.command).map(mapped), ...more]
  const child = spawn(opa, args, { env: Object.fromEntries(environment), stdio: ['ignore', 'pipe', 'pipe'] })
  // A test process that ends early takes its OPA along.
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  const ended = once(child, 'exit').finally(() => process.off('exit', onExit))
  const client = new Client('http://localhost', { socketPath: socket })
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  let output = ''
  const keep = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)

  const checkHealth = async (): Promise<number | null> => {
    const [form, program, ...words] = commandOf(definition.healthcheck.test)
    if (form !== 'CMD' || program !== '/opa') throw new Error(`the health check is not run by OPA: ${program}`)
    return (await run(opa, words.map(mapped))).code
  }
  const isUp = async (): Promise<boolean> => {
    if (hasEnded()) throw new Error(`opa ended: ${output}`)
    return (await checkHealth()) === 0
  }
  await until('OPA is healthy', isUp, UNDER_LOAD_MS)
  return {
    async ask(path, options) {
      const headers = { 'content-type': 'application/json', ...options.headers }
      const { statusCode, body } = await client.request({ path, ...options, headers } as Dispatcher.RequestOptions)
      const text = await body.text()
      return { status: statusCode, json: () => Promise.resolve(JSON.parse(text) as unknown) }
    },
    socket,
    diagnostic: `http://127.0.0.1:${diagnostic}`,
    checkHealth,
    lines: () => output.split('\n').filter((line) => line !== ''),
    async stop() {
      if (!hasEnded()) child.kill('SIGTERM')
      await ended
      if (!client.destroyed) await client.destroy()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A word that may hold a path of the container, as it is here. */
function onHost(word: string, file: Compose): string {
  const mount = mountsOf(service('opa', file)).find(({ target }) => new RegExp(`(^|:)${target}(?=/|$)`).test(word))
  return mount === undefined ? word : word.replace(mount.target, join(ROOT, mount.source))
}
