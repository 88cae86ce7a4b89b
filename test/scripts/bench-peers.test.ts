// The peer of the bench decides as it should: what it leaves out would make it faster than it may be. Needs nginx with njs
// (Debian packages nginx and libnginx-mod-http-js); without them these tests are skipped, and say so.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, request, type RequestOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { mintIdentities, type Identities } from '../../scripts/bench/parties.ts'
import { lookForNginx } from '../../scripts/bench/peers/find-nginx.ts'
import { startNginx, startPeer, type Peer } from '../../scripts/bench/peers/start-peer.ts'
import type { Processes } from '../../scripts/bench/processes.ts'
import { tables, type Report } from '../../scripts/bench/report.ts'
import { setStage } from '../../scripts/bench/stage.ts'
import { until } from '../fixtures/until.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const nginx = await lookForNginx()
if ('unavailable' in nginx) process.stderr.write(`SKIPPED, the peer of the bench: ${nginx.unavailable}\n`)

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const ALLOWED = '{"verb":"invoke","capability":"hello_world","payload":{"message":"hello"}}'
const DENIED = '{"verb":"convert","capability":"document_to_pdf","payload":{}}'

type Place = { readonly dir: string; readonly processes: Processes; readonly identities: Identities }
type Arrived = { readonly path: string; readonly body: string; readonly headers: IncomingMessage['headers'] }
type Mesh = AsyncDisposable & {
  readonly peer: Peer
  readonly arrived: readonly Arrived[]
  readonly call: (body: string, as?: keyof Identities) => Promise<{ status: number; body: string }>
  readonly accessLog: () => string
}

/** A worker that keeps what it gets, and the peer in front of it. */
async function openMesh(start: (place: Place, workerPort: number) => Promise<Peer>): Promise<Mesh> {
  const arrived: Arrived[] = []
  const stage = await setStage(new AbortController().signal, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const worker = createServer(
      { ...tls(identities['worker-hello-world']), requestCert: true, rejectUnauthorized: true },
      (incoming, response) => {
        void text(incoming).then((body) => {
          arrived.push({ path: incoming.url ?? '', body, headers: incoming.headers })
          response.end('done')
        })
      },
    ).listen(0, '127.0.0.1')
    await once(worker, 'listening')
    const peer = await start({ dir, processes, identities }, (worker.address() as AddressInfo).port)
    return { dir, identities, worker, peer }
  })
  const { dir, identities, worker, peer } = stage
  return {
    peer,
    arrived,
    call: (body, as = 'worker-streaming') => post({ ...tls(identities[as]), port: peer.port }, body),
    accessLog: () => readFileSync(join(dir, 'peer-test', 'access.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]()
      worker.closeAllConnections()
      worker.close()
    },
  }
}

function tls(env: NodeJS.ProcessEnv) {
  const read = (name: string) => readFileSync(env[name] ?? '')
  return { cert: read('CRANK_TLS_CERT'), key: read('CRANK_TLS_KEY'), ca: read('CRANK_TLS_BUNDLE') }
}

async function post(options: RequestOptions, body: string): Promise<{ status: number; body: string }> {
  const headers = { 'content-type': 'application/json', traceparent: TRACEPARENT }
  const asked = request({ ...options, host: '127.0.0.1', path: '/route', method: 'POST', headers, agent: false })
  asked.end(body)
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, body: await text(response) }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe.skipIf('unavailable' in nginx)('nginx + njs + OPA', () => {
  if ('unavailable' in nginx) return
  const startWith =
    (policy: 'current' | 'bac95cf') =>
    ({ dir, processes, identities }: Place, workerPort: number) =>
      startPeer(processes, { name: 'test', nginx, dir, workerPort, identity: identities.controller, policy })

  test.each(['current', 'bac95cf'] as const)(
    'hands a declared call to the worker and refuses another one (Rego: %s)',
    async (policy) => {
      let pids: number[]
      {
        await using mesh = await openMesh(startWith(policy))
        pids = Object.values(mesh.peer.pids)
        expect(Object.keys(mesh.peer.pids)).toEqual(['controller', 'opa'])
        expect(await mesh.call(ALLOWED)).toEqual({ status: 200, body: 'done' })
        expect(await mesh.call(DENIED)).toEqual({ status: 403, body: '{"error":"capability_access_denied"}' })
        expect(await mesh.call('not JSON')).toMatchObject({ status: 400 })
        expect(mesh.arrived).toEqual([
          { path: '/execute', body: ALLOWED, headers: expect.objectContaining({ traceparent: TRACEPARENT }) },
        ])
        await until('every call is in the access log', () => mesh.accessLog().split('\n').length > 3)
        const lines = mesh.accessLog().trim().split('\n')
        expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
          expect.objectContaining({
            ...{ caller: 'spiffe://crank.local/worker/streaming', capability: 'invoke:hello_world' },
            ...{ decision: 'allow', status: 200, traceparent: TRACEPARENT },
          }),
          expect.objectContaining({ capability: 'convert:document_to_pdf', decision: 'deny', status: 403 }),
          expect.objectContaining({ decision: 'none', status: 400 }),
        ])
      }
      expect(pids.filter(isAlive)).toEqual([])
    },
  )

  test('asks about the SPIFFE ID of the certificate, and refuses a caller without one', async () => {
    await using mesh = await openMesh(startWith('current'))
    const own = '{"verb":"stream","capability":"text_events","payload":{}}'
    expect(await mesh.call(own, 'worker-streaming')).toMatchObject({ status: 200 })
    expect(await mesh.call(own, 'worker-hello-world')).toMatchObject({ status: 403 })
    const stranger = await post({ port: mesh.peer.port, rejectUnauthorized: false }, own)
    expect(stranger.status).toBe(400)
    expect(mesh.arrived).toHaveLength(1)
  })

  test('sends OPA the input of the controller, and believes only an answer to it', async () => {
    const asked: { path: string; body: { input: { context: { decision_id: string } } } }[] = []
    let answer = (id: string): string => JSON.stringify({ result: { allow: true, decision_id: id } })
    const opa = createHttpServer((incoming, response) => {
      void json(incoming).then((body) => {
        asked.push({ path: incoming.url ?? '', body: body as (typeof asked)[number]['body'] })
        response.end(answer(asked.at(-1)!.body.input.context.decision_id))
      })
    }).listen(0, '127.0.0.1')
    let connections = 0
    opa.on('connection', () => (connections += 1))
    await once(opa, 'listening')
    const opaPort = (opa.address() as AddressInfo).port
    await using mesh = await openMesh(({ dir, processes, identities }, workerPort) =>
      startNginx(processes, { name: 'test', nginx, dir, workerPort, identity: identities.controller, opaPort }),
    )
    expect(await mesh.call(ALLOWED)).toMatchObject({ status: 200 })
    const caller = 'spiffe://crank.local/worker/streaming'
    expect(asked[0]).toEqual({
      path: '/v1/data/crank/capability_access/decision',
      body: {
        input: {
          identity: { spiffe_id: caller, trust_domain: 'crank.local' },
          action: { verb: 'invoke', capability: 'hello_world' },
          context: {
            timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
            now_ns: expect.stringMatching(/^\d{19}$/),
            source: 'controller',
            decision_id: expect.stringMatching(/^[\da-f]{32}$/),
            priority: 'normal',
            origin: caller,
            depth: 0,
          },
        },
      },
    })
    for (const lie of [
      () => JSON.stringify({ result: { allow: true, decision_id: asked[0]!.body.input.context.decision_id } }),
      (id: string) => JSON.stringify({ result: { allow: 'true', decision_id: id } }),
      () => '{"result":null}',
      () => '{}',
      () => 'not JSON',
    ]) {
      answer = lie
      expect(await mesh.call(ALLOWED)).toEqual({ status: 503, body: '{"error":"policy_engine_error"}' })
    }
    expect(mesh.arrived).toHaveLength(1)
    // Kept open, as the controller keeps its own.
    expect(connections).toBe(1)
    opa.closeAllConnections()
    opa.close()
  })

  test('a quick run loads the peers, and sends bodies of 1 MiB both ways', () => {
    const { status, stdout, stderr } = bench(['--only', 'nginx,nginx-opa,nginx-opa-bac95cf,bodies'])
    expect({ status, stderr }).toMatchObject({ status: 0 })
    const report = JSON.parse(stdout) as Report
    expect(report.skipped).toEqual([])
    expect(report.routes.map(({ name, rounds }) => [name, rounds[0]!.closed.failed, rounds[0]!.open.failed])).toEqual([
      ['nginx', 0, 0],
      ['nginx-opa', 0, 0],
      ['nginx-opa-bac95cf', 0, 0],
    ])
    expect(Object.keys(report.routes[1]!.rounds[0]!.closed.cpuUs)).toEqual(['controller', 'opa', 'worker', 'generator'])
    expect(
      report.bodies.map(({ direction, controller, forward, nginx: peer }) => [
        direction,
        controller[0]!.failed,
        forward[0]!.failed,
        peer[0]!.failed,
      ]),
    ).toEqual([
      ['down', 0, 0, 0],
      ['up', 0, 0, 0],
    ])
    expect(tables(report)).toContain('Bodies through the raw form')
  })

  test('a quick run lets many callers take turns, and says how many decisions were repeated', () => {
    const { status, stdout, stderr } = bench(['--only', 'cached'])
    expect({ status, stderr }).toMatchObject({ status: 0 })
    const report = JSON.parse(stdout) as Report
    expect(report.cached.map(({ name, callers, rounds }) => [name, callers, rounds[0]!.failed])).toEqual(
      ['forward', 'full', 'full-cached', 'sidecar', 'sidecar-cached', 'nginx-opa'].map((name) => [name, 8, 0]),
    )
    const hits = Object.fromEntries(report.cached.map(({ name, rounds }) => [name, rounds[0]!.hits]))
    // 64 calls each had 32 turns of 8 callers before: most of what is asked for in the round is known.
    expect(hits['full-cached']).toBeGreaterThan(0)
    expect(hits['full-cached']).toBeLessThanOrEqual(1)
    expect(hits['sidecar-cached']).toBeLessThanOrEqual(1)
    // None of the others has a cache.
    expect([hits['forward'], hits['full'], hits['sidecar'], hits['nginx-opa']]).toEqual(new Array(4).fill(undefined))
    expect(tables(report)).toContain('Decision cache: 8 callers x 15 capabilities')
    expect(report.budgets.filter(({ mark }) => mark !== 'not run')).toMatchObject([
      { what: 'the same with the decision cache on, 1,000 identities x 15 capabilities', limit: '<= 0.9x' },
    ])
  })
})

function bench(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, ['scripts/bench.ts', '--quick', '--json', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
}

test.each([
  ['capability_access.rego', 'e57ddc68599ceab7510146e14b3ffa9a2ff06f86'],
  ['common.rego', '729cc86ef6dedfc737cedc9bb4ee4c3aa23e68d8'],
])('the %s of the older policy is that of commit bac95cf, byte for byte', (name, blob) => {
  const bytes = readFileSync(join(ROOT, 'scripts/bench/peers/policy-bac95cf', name))
  // The name of an object of Git.
  expect(createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')).toBe(blob)
})

test('without nginx its rows are skipped with the reason and the way to get it, and the run goes on', () => {
  const args = ['--only', 'bare,nginx,nginx-opa,bodies']
  const { status, stdout, stderr } = bench(args, { NGINX_BIN: '/nowhere' })
  expect({ status, stderr }).toMatchObject({ status: 0 })
  expect(stderr).toContain('SKIPPED nginx, nginx-opa, bodies: NGINX_BIN=/nowhere is not an executable file')
  const report = JSON.parse(stdout) as Report
  expect(report.routes.map(({ name }) => name)).toEqual(['bare'])
  expect(report.skipped).toEqual([
    {
      rows: ['nginx', 'nginx-opa', 'bodies'],
      why: expect.stringContaining('install the Debian packages nginx and libnginx-mod-http-js'),
    },
  ])
})
