// The probe on real sockets: the log distinguishes its failures, whoever asked reads the same sentence for all of them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createProbe } from '../../../src/controller/dispatch/probe.ts'
import { createWorkerConnectors } from '../../../src/controller/dispatch/worker-connector.ts'
import type { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { Addresses } from '../../../src/platform/host-lookup.ts'
import { parseHostRules } from '../../../src/platform/host-rules.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import type { Issued } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import { createTestPki, GOOD_ID, type TestPki } from '../../fixtures/pki/defects.ts'
import { createLiveSource, type LiveSource } from '../../fixtures/pki/live-source.ts'

const WORKER = parseSpiffeId(GOOD_ID)
let pki: TestPki
let source: LiveSource
beforeAll(async () => {
  pki = await createTestPki()
  source = createLiveSource(await credentialsFor(pki.td1, 'spiffe://td1.test/controller'))
})
afterAll(() => source.close())

type Line = { readonly kind: string; readonly reason: string }

/** Probes once: what the log says of it, and what the caller gets. */
async function probe(
  origin: string,
  lookup?: (host: string) => Promise<Addresses>,
): Promise<{ line: Line; told: string }> {
  const lines: Line[] = []
  const verifier = createPeerVerifier({ now: Date.now })
  const monotonic = () => performance.now()
  const connectorFor = createWorkerConnectors({ source, verifier, rules: parseHostRules(''), monotonic, lookup })
  const log = { warn: (line: object) => void lines.push(line as Line) }
  const ask = createProbe({ connectorFor, log })({ spiffeId: WORKER, origin, workerId: 'w', decisionId: 'd-1' })
  const error = await ask.then(
    () => undefined,
    (thrown: unknown) => thrown as AppError,
  )
  return { line: lines[0] ?? { kind: 'none', reason: '' }, told: error === undefined ? 'healthy' : error.message }
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function workerShowing({ chainPem: cert, keyPem: key }: Issued, status = 200): Promise<string> {
  const worker = createHttpsServer({ cert, key }, (_request, response) => {
    if (status > 0) response.writeHead(status).end('{}')
  })
  onTestFinished(() => worker.closeAllConnections())
  return listening(worker)
}

const good = (): Promise<Issued> => pki.td1.issue({ uri: GOOD_ID })
const hangs = (): Promise<Addresses> => new Promise(() => undefined)
const nowhere = (): Promise<Addresses> => Promise.reject(new Error('ENOTFOUND'))
const standsFor = (address: string) => (): Promise<Addresses> => Promise.resolve([{ address, family: 4 }])

/** Nobody listens there any more. */
async function freeOrigin(): Promise<string> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `https://127.0.0.1:${port}`
}

/** Says nothing to anybody. */
const silent = (): Promise<string> => {
  const server = createTcpServer((socket) => {
    onTestFinished(() => void socket.destroy())
  })
  return listening(server)
}

/** Its process is stopped and its queue full: the kernel drops who wants to connect. */
async function unreachable(): Promise<string> {
  const program = `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    console.log(server.address().port)
    process.kill(process.pid, 'SIGSTOP')
  })`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [port] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  const filling = Array.from({ length: 8 }, () => connectTcp(Number(port), '127.0.0.1').on('error', () => undefined))
  onTestFinished(() => filling.forEach((socket) => void socket.destroy()))
  await once(filling[0] ?? child, 'connect')
  return `https://127.0.0.1:${port.trim()}`
}

const failures: Record<string, { kind: string; run: () => Promise<{ line: Line; told: string }> }> = {
  'a name without an address': { kind: 'dns', run: () => probe('https://a.test:1', nowhere) },
  'a name whose lookup hangs': { kind: 'dns', run: () => probe('https://a.test:1', hangs) },
  'a name that stands for a link-local address': {
    kind: 'address',
    run: () => probe('https://a.test:1', standsFor('169.254.169.254')),
  },
  'a port where nobody listens': { kind: 'connect_refused', run: async () => probe(await freeOrigin()) },
  'a port that takes no connection': { kind: 'connect_timeout', run: async () => probe(await unreachable()) },
  'a peer that accepts and says nothing': { kind: 'tls', run: async () => probe(await silent()) },
  'a peer of a CA nobody trusts': {
    kind: 'tls',
    run: async () => probe(await workerShowing(await pki.impostor.issue({ uri: GOOD_ID }))),
  },
  'a peer with another SPIFFE ID': {
    kind: 'identity',
    run: async () => probe(await workerShowing(await pki.td1.issue({ uri: 'spiffe://td1.test/worker/b' }))),
  },
  'a worker that is not healthy': {
    kind: 'http_status',
    run: async () => probe(await workerShowing(await good(), 503)),
  },
  'a worker that never answers': { kind: 'no_answer', run: async () => probe(await workerShowing(await good(), 0)) },
}

describe('a probe', () => {
  test('passes a healthy worker, by address and by name', async () => {
    const origin = await workerShowing(await good())
    expect(await probe(origin)).toMatchObject({ told: 'healthy' })
    const byName = origin.replace('127.0.0.1', 'worker.test')
    expect(await probe(byName, standsFor('127.0.0.1'))).toMatchObject({ told: 'healthy' })
  })

  const told = new Set<string>()
  test.each(Object.entries(failures))('names %s in the log', async (_name, { kind, run }) => {
    const outcome = await run()
    expect(outcome.line).toMatchObject({
      event: 'worker_probe_failed',
      kind,
      requester: GOOD_ID,
      decision_id: 'd-1',
      reason: expect.stringMatching(/./) as string,
    })
    told.add(outcome.told)
  })

  test('tells whoever asked one and the same sentence for all of them', () => {
    expect([...told]).toEqual([expect.stringContaining('the probe of worker_url failed: within 2 s it must')])
  })
})
