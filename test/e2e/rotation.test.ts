// Certificates and CAs are replaced while calls run through /route. CRANK_TEST_ROTATIONS=100 runs the full form: 100 SVID and
// 10 CA rotations.
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPeerVerifier } from '../../src/platform/svid/verify.ts'
import { watchCredentials, type CredentialSource } from '../../src/platform/tls/credentials.ts'
import { createControllerClient, type ControllerClient } from '../../src/worker/controller-client.ts'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { startMesh, TRUST_DOMAIN, type Mesh } from '../fixtures/mesh.ts'
import { createTestCa, type Issued, type TestCa } from '../fixtures/pki/ca.ts'
import { writeCredentials } from '../fixtures/pki/credential-files.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'

const SVIDS = Number(process.env['CRANK_TEST_ROTATIONS'] ?? 10)
const CAS = Math.max(2, Math.ceil(SVIDS / 10))
const isFull = SVIDS >= 100
const CALLERS = 8
/** Connections of the old certificate are renewed within this time (docs/operations/process.md). */
const RENEWAL_MS = 3000
vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 })

const NAMES = ['controller', 'worker/hello-world', 'worker/streaming'] as const
type Name = (typeof NAMES)[number]

let mesh: Mesh
let worker: RunningWorker
let source: CredentialSource
let client: ControllerClient
let workerChanges = 0
const issued = new Map<Name, Issued>()
let cas: TestCa[]
beforeAll(async () => {
  mesh = await startMesh()
  cas = [mesh.ca]
  for (const name of NAMES) issued.set(name, await mesh.identity(name))
  const destination = {
    write: (line: string) => void (workerChanges += line.includes('"credentials_changed"') ? 1 : 0),
  }
  const log = createLogger({ level: 'info', service: 'test', destination })
  worker = await startRealWorker(mesh, mesh.origin, createHelloWorld(), { log })
  const silent = createLogger({ level: 'silent', service: 'test' })
  source = await watchCredentials(await mesh.filesOf('worker/streaming'), { now: Date.now, log: silent })
  const controllerId = parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`)
  const verifier = createPeerVerifier({ now: Date.now })
  client = createControllerClient({ controllerUrls: [mesh.origin], controllerId, source, verifier })
})
afterAll(async () => {
  await worker.close()
  await client.close()
  source.close()
  await mesh.close()
})

async function controllerChanges(): Promise<number> {
  const { text } = await mesh.admin('/metrics')
  return Number(/^controller_credential_reload_total\{[^}]*"ok"[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0)
}
const changes: Record<Name, () => Promise<number>> = {
  controller: controllerChanges,
  'worker/hello-world': () => Promise.resolve(workerChanges),
  'worker/streaming': () => Promise.resolve(source.current().generation),
}

/** Writes what `issued` and `cas` have, and waits until the named parties use it. Resolves with the time of the writing. */
async function write(names: readonly Name[], waitFor: readonly Name[] = names): Promise<number> {
  const before = new Map<Name, number>()
  for (const name of waitFor) before.set(name, await changes[name]())
  for (const name of names)
    await writeCredentials(join(mesh.dir, 'pki'), { name: name.replaceAll('/', '-'), issued: issued.get(name)!, cas })
  const writtenMs = performance.now()
  for (const name of waitFor)
    await until(`${name} has changed`, async () => (await changes[name]()) > before.get(name)!)
  return writtenMs
}

async function issue(ca: TestCa, name: Name): Promise<void> {
  issued.set(name, await ca.issue({ uri: `spiffe://${TRUST_DOMAIN}/${name}`, ips: ['127.0.0.1'] }))
}

/** Calls all the time while `work` runs: how many were answered, and what failed. */
async function underLoad(work: () => Promise<void>): Promise<{ answered: number; failures: unknown[] }> {
  const failures: unknown[] = []
  let answered = 0
  let isOver = false
  const body = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }
  const call = async (): Promise<void> => {
    try {
      const answer = await client.route(body)
      const text = (await answer.body.toArray()).join('')
      if (answer.status === 200) answered++
      else failures.push(`${answer.status} ${text}`)
    } catch (cause: unknown) {
      failures.push(cause)
    }
  }
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!isOver) await call()
  })
  try {
    await work()
  } finally {
    isOver = true
    await Promise.all(callers)
  }
  return { answered, failures }
}

test(`${SVIDS} certificates of controller and worker are replaced in turn: no call fails`, async () => {
  const { answered, failures } = await underLoad(async () => {
    for (let n = 0; n < SVIDS; n++) {
      const name = NAMES[n % 2]!
      await issue(cas[0]!, name)
      await write([name])
    }
  })
  report(`${SVIDS} SVID rotations: ${answered} calls answered, ${failures.length} failed`)
  expect(failures).toEqual([])
  expect(answered).toBeGreaterThan(SVIDS)
})

test(`${CAS} CAs are replaced (add, issue, remove): no call fails, and the old one is refused within a second`, async () => {
  const closedMs: number[] = []
  const { answered, failures } = await underLoad(async () => {
    for (let n = 0; n < CAS; n++) {
      const [old] = cas
      const next = await createTestCa(TRUST_DOMAIN)
      cas = [old!, next]
      await write(['controller'], NAMES)
      for (const name of NAMES) await issue(next, name)
      await write(NAMES)
      await delay(RENEWAL_MS)
      const stranger = await old!.issue({ uri: `spiffe://${TRUST_DOMAIN}/worker/streaming` })
      const open = await connected(stranger)
      cas = [next]
      const closed = once(open, 'close').then(() => performance.now())
      const writtenMs = await write(['controller'], NAMES)
      closedMs.push((await closed) - writtenMs)
      expect(await answerTo(stranger)).toMatch(/^HTTP\/1\.1 401 /)
    }
  })
  const slowest = Math.round(Math.max(...closedMs))
  report(
    `${CAS} CA rotations: ${answered} calls answered, ${failures.length} failed; old CA refused within ${slowest} ms`,
  )
  expect(failures).toEqual([])
  expect(answered).toBeGreaterThan(CAS)
  // The short form also runs beside many other tests on a small machine.
  expect(Math.max(...closedMs)).toBeLessThan(isFull ? 1000 : 5000)
})

test('a certificate is refused from the second in which it expires, on its open connection and on a new one', async () => {
  const notAfterMs = Math.ceil(Date.now() / 1000 + 3) * 1000
  const shortLived = await cas[0]!.issue({ uri: `spiffe://${TRUST_DOMAIN}/worker/streaming`, notAfterMs })
  const socket = await connected(shortLived)
  expect(await asked(socket)).toMatch(/^HTTP\/1\.1 200 /)
  await until('the certificate has expired', () => Date.now() >= notAfterMs)
  expect(await asked(socket)).toMatch(/^HTTP\/1\.1 401 [^]*client_certificate_expired/)
  await until('the connection has ended', () => socket.closed)
  expect(await answerTo(shortLived)).toMatch(/^HTTP\/1\.1 401 [^]*client_certificate_expired/)
})

function report(line: string): void {
  if (isFull) process.stdout.write(`${line}\n`)
}

async function connected({ chainPem: cert, keyPem: key }: Issued) {
  const options = { ca: cas.map(({ certPem }) => certPem), cert, key, checkServerIdentity: () => undefined }
  const socket = connect({ host: '127.0.0.1', port: mesh.controller.port, ...options })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket.resume()
}

async function answerTo(issued: Issued): Promise<string> {
  const socket = await connected(issued)
  const answer = await asked(socket)
  socket.destroy()
  return answer
}

/** The beginning of the answer to one request. */
async function asked(socket: TLSSocket): Promise<string> {
  const answer = once(socket, 'data') as Promise<[Buffer]>
  socket.write('GET /capabilities HTTP/1.1\r\nhost: x\r\n\r\n')
  const [chunk] = await answer
  return chunk.toString()
}
