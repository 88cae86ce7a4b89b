// The cost of a refused request for the controller: a caller without rights must not cause much more work than a denied
// call.
// CPU of the controller's process, compared with a denied call and with a bare server that only reads and parses the
// same bytes.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { openConnection, type Connection } from './connection.ts'
import { cpuPerRequest, cpuTimes } from './cpu.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import { DENIED, DENIED_FRESH, WITH_BODY, WITHOUT_BODY, type Shape } from './refusal-shapes.ts'
import { setStage, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, table } from './table.ts'

/** `nobody` presents no certificate. */
export type Who = 'rightless' | 'blocked' | 'nobody'

/** CPU microseconds per request in each round. `plain`: those of the bare server for the same body. */
export type RefusalRow = {
  readonly name: string
  readonly hasBody: boolean
  readonly cpuUs: readonly number[]
  readonly plainUs: readonly number[]
  /** Cost relative to the limit, per round. */
  readonly ratios: readonly number[]
}

export type RefusalAmounts = { readonly small: number; readonly large: number }
type Options = {
  readonly rounds: number
  readonly amounts: RefusalAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Server = { readonly port: number; readonly pid: number }
type Lab = Stage & {
  readonly controller: Server
  readonly plain: Server
  readonly callers: Readonly<Record<Who, ConnectionOptions>>
}

/** Few rounds, since there are many shapes. */
const MAX_ROUNDS = 3
/** As many as one identity may have bodies in flight. */
const CONNECTIONS = 4
const BLOCKED_ID = 'spiffe://crank.local/worker/streaming'

export async function measureRefusals({ rounds, amounts, say, stop }: Options): Promise<RefusalRow[]> {
  say('starting a controller and a bare server …')
  await using lab = await openRefusalLab(stop)
  const requestsOf = ({ body = '', fresh }: Shape): number =>
    fresh !== true && body.length < 10_000 ? amounts.small : amounts.large
  const cost = (shape: Shape, server: Server): Promise<number> =>
    lab.unlessBroken(costOf(shape, { server, caller: lab.callers[shape.who], requests: requestsOf(shape) }))
  const rows = [...WITHOUT_BODY, ...WITH_BODY].map((shape) => ({
    shape,
    name: shape.name,
    hasBody: WITH_BODY.includes(shape),
    cpuUs: [] as number[],
    plainUs: [] as number[],
    ratios: [] as number[],
  }))
  // Round 0 is the warm-up.
  for (let round = 0; round <= Math.min(rounds, MAX_ROUNDS); round++) {
    const denied = await cost(DENIED, lab.controller)
    const deniedFresh = await cost(DENIED_FRESH, lab.controller)
    for (const { shape, hasBody, cpuUs, plainUs, ratios } of rows) {
      const refused = await cost(shape, lab.controller)
      const plain = hasBody ? await cost(shape, lab.plain) : 0
      if (round === 0) continue
      cpuUs.push(refused)
      plainUs.push(plain)
      ratios.push(refused / ((shape.fresh === true ? deniedFresh : denied) + 2 * plain))
    }
    say(round === 0 ? 'refusals are warmed up' : `refusals, round ${round} is over`)
  }
  return rows.map(({ name, hasBody, cpuUs, plainUs, ratios }) => ({ name, hasBody, cpuUs, plainUs, ratios }))
}

function openRefusalLab(stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const policyDir = join(dir, 'policies')
    await cp(POLICY_DIR, policyDir, { recursive: true })
    const blocked = { blocked: { identities: { [BLOCKED_ID]: 'the bench' }, capabilities: {} } }
    await writeFile(join(policyDir, 'data/blocked.json'), JSON.stringify(blocked))
    const controller = await startController(processes, {
      name: 'refusals',
      env: { ...identities.controller, CRANK_POLICY_DIR: policyDir, CRANK_STATE_DIR: join(dir, 'state') },
    })
    const plain = await processes.run('plain-reader.ts', identities['worker-hello-world'])
    const { CRANK_TLS_BUNDLE: bundle = '' } = identities.controller
    const callers = {
      rightless: await readIdentity(identities['worker-hello-world']),
      blocked: await readIdentity(identities['worker-streaming']),
      nobody: { ca: await readFile(bundle) },
    }
    return { controller, plain, callers }
  })
}

async function readIdentity(env: NodeJS.ProcessEnv): Promise<ConnectionOptions> {
  const read = (variable: string): Promise<Buffer> => readFile(env[variable] ?? '')
  return {
    cert: await read('CRANK_TLS_CERT'),
    key: await read('CRANK_TLS_KEY'),
    ca: await read('CRANK_TLS_BUNDLE'),
  }
}

type Load = { readonly server: Server; readonly caller: ConnectionOptions; readonly requests: number }

/** Sends requests on a few connections, each after the previous answer. */
async function costOf(shape: Shape, { server, caller, requests }: Load): Promise<number> {
  const request = bytesOf(shape)
  const { promise: faulty, reject } = Promise.withResolvers<never>()
  const fail = (cause: Error): void => reject(new Error(`${shape.name}: ${cause.message}`, { cause }))
  const open = (onFault: (error: Error) => void): Promise<Connection> =>
    openConnection({ ...caller, port: server.port }, onFault)
  const kept = shape.fresh === true ? [] : await Promise.all(Array.from({ length: CONNECTIONS }, () => open(fail)))
  const pids = { server: server.pid }
  const before = cpuTimes(pids)
  let sent = 0
  const askOn = async (own: Connection | undefined): Promise<void> => {
    while (sent < requests) {
      sent += 1
      if (own === undefined) await askOnce(open, request)
      else await answerTo(own, request)
    }
  }
  const all = Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => askOn(kept[n])))
  await Promise.race([all, faulty])
  const { server: us = Number.NaN } = cpuPerRequest(pids, before, requests)
  for (const connection of kept) connection.close()
  return us
}

function answerTo(connection: Connection, request: Buffer): Promise<void> {
  return new Promise((resolve) => {
    connection.send(request, () => {
      resolve()
    })
  })
}

/** Uses a new connection; it may break while the body is being sent to a server that rejects it. */
async function askOnce(open: (onFault: (error: Error) => void) => Promise<Connection>, request: Buffer): Promise<void> {
  const { promise: broken, resolve } = Promise.withResolvers<undefined>()
  const connection = await open(() => {
    resolve(undefined)
  })
  await Promise.race([answerTo(connection, request), broken])
  connection.close()
}

function bytesOf({ method, path, body }: Shape): Buffer {
  const head = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1']
  if (body !== undefined) head.push('content-type: application/json', `content-length: ${Buffer.byteLength(body)}`)
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body ?? ''}`)
}

/** The rounds of the worst shape by median, with or without a body. */
export function worstRatios(rows: readonly RefusalRow[], hasBody: boolean): readonly number[] {
  const some = rows.filter((row) => row.hasBody === hasBody)
  return some.toSorted((one, other) => median(other.ratios) - median(one.ratios))[0]?.ratios ?? []
}

/** As a table. */
export function refusalTable(rows: readonly RefusalRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ name, hasBody, cpuUs, plainUs, ratios }) => [
    name,
    fixed(median(cpuUs), 0),
    hasBody ? fixed(median(plainUs), 0) : '-',
    fixed(median(ratios), 2),
    ratios.map((ratio) => fixed(ratio, 2)).join(' '),
  ])
  const head = ['refused request', 'CPU us', 'read + parse us', 'of what it may', 'every round']
  return [
    'Refusals: CPU of one, as a part of a denied call plus twice a plain read and parse',
    ...table(head, cells),
    '',
  ]
}
