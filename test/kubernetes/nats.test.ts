// The NATS of deploy/kubernetes, run: three real servers with its nats.conf, SVIDs in place of those of spiffe-helper.
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTool, pinOf } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { createTestCa, type TestCa } from '../fixtures/pki/ca.ts'
import { until } from '../fixtures/until.ts'
import { build, KUBERNETES_DIR } from './kustomize.ts'
import { ask, killAll, portsOf, startServer, type NatsServer, type Svid } from './nats-servers.ts'
import { container, ofKind, workload, type KubeObject } from './objects.ts'

const ID = 'spiffe://crank.local'
const UNDER_LOAD_MS = 60_000

let objects: KubeObject[]
let config: string
let dir: string
let ca: TestCa
let servers: NatsServer[]

async function svid(path: string): Promise<Svid> {
  return { issued: await ca.issue({ uri: `${ID}/${path}`, dns: ['localhost'] }), bundlePem: ca.certPem }
}
const fileOf = (name: string): string =>
  ofKind(objects, 'ConfigMap').find(({ metadata }) => metadata.name.startsWith('nats-config'))?.data?.[name] ?? ''
const health = async ({ ports }: NatsServer, path: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${ports.health}${path}`)
/** The names of the servers to which it has a route. */
async function peersOf(server: NatsServer): Promise<string[]> {
  const { routes } = (await (await health(server, '/routez')).json()) as { routes: { remote_name: string }[] }
  return routes.map(({ remote_name: name }) => name)
}
const startupPath = (): string => container('nats', workload('nats', objects)).startupProbe?.httpGet?.path ?? ''
const isWell = async (server: NatsServer): Promise<boolean> =>
  health(server, startupPath()).then(
    ({ ok }) => ok,
    () => false,
  )

beforeAll(async () => {
  objects = await build(join(KUBERNETES_DIR, 'overlays/mesh'))
  config = fileOf('nats.conf')
  dir = await mkdtemp(join(tmpdir(), 'kubernetes-nats-'))
  ca = await createTestCa('crank.local')
  const all = await portsOf(3)
  servers = []
  for (const [at, ports] of all.entries())
    servers.push(await startServer(config, dir, { name: `nats-${at}`, ports, svid: await svid('nats'), all }))
  await until(
    'every server passes its startup probe',
    async () => (await Promise.all(servers.map(isWell))).every(Boolean),
    UNDER_LOAD_MS,
  )
})
afterAll(async () => {
  await killAll(servers)
  await rm(dir, { recursive: true, force: true })
})

function server(at: number): NatsServer {
  const found = servers[at]
  if (found === undefined) throw new Error(`there is no server ${at}`)
  return found
}

test('has the version that the tests are run with', async () => {
  expect(container('nats', workload('nats', objects)).image).toBe(`nats:${(await pinOf('nats-server')).version}`)
})

test('is one cluster of three, which passes every probe', async () => {
  const { livenessProbe, readinessProbe } = container('nats', workload('nats', objects))
  for (const one of servers) {
    for (const probe of [livenessProbe, readinessProbe]) {
      expect((await health(one, probe?.httpGet?.path ?? '')).status).toBe(200)
    }
    const { num_routes: routes } = (await (await health(one, '/routez')).json()) as { num_routes: number }
    expect(routes).toBeGreaterThanOrEqual(2)
  }
})

describe('who may connect', () => {
  test('is the controller', async () => {
    expect((await ask(server(0).ports.client, await svid('controller'))).says).toBe('PONG')
  })

  test.each(['worker/streaming', 'nats', 'controller/x'])('is not %s', async (path) => {
    expect((await ask(server(0).ports.client, await svid(path))).says).toBe("-ERR 'Authorization Violation'")
  })

  test('is nobody of another CA', async () => {
    const stranger = await createTestCa('crank.local')
    const issued = await stranger.issue({ uri: `${ID}/controller`, dns: ['localhost'] })
    // The refusal of the handshake is an alert, or the end of the connection if that is quicker.
    await expect(ask(server(0).ports.client, { issued, bundlePem: ca.certPem })).rejects.toThrow(
      /alert (unknown ca|bad certificate)|ECONNRESET|EPIPE/,
    )
  })

  test('a worker that poses as a server does not get into the cluster', async () => {
    const [own] = await portsOf(1)
    if (own === undefined) throw new Error('no ports')
    const all = servers.map(({ ports }) => ports)
    const evil = await startServer(config, dir, { name: 'evil', ports: own, svid: await svid('worker/streaming'), all })
    try {
      const refusals = (): number =>
        servers.reduce((all, { log }) => all + [...log().matchAll(/rid:\d+ - .*authentication error/gi)].length, 0)
      const before = refusals()
      // It tries again each second, and each time counts a route for itself until the answer is there.
      await until('it is refused again and again', () => refusals() >= before + 2 * servers.length, UNDER_LOAD_MS)
      const peers = (await Promise.all(servers.map(peersOf))).flat()
      expect(new Set(peers)).toEqual(new Set(['nats-0', 'nats-1', 'nats-2']))
    } finally {
      await killAll([evil])
    }
  })
})

test('takes a new SVID on the signal of the helper, and keeps its connections open to who comes then', async () => {
  const [, signal] = /renew_signal = "(\w+)"/.exec(fileOf('helper.conf')) ?? []
  const next = await svid('nats')
  const before = (await ask(server(1).ports.client, await svid('controller'))).peer.fingerprint256
  await server(1).replaceSvid(next)
  server(1).child.kill(signal as NodeJS.Signals)
  await until('the new certificate is shown', async () => {
    const { peer, says } = await ask(server(1).ports.client, await svid('controller'))
    return says === 'PONG' && peer.fingerprint256 !== before
  })
})

test('leaves in order on the command of preStop', async () => {
  const { preStop } = container('nats', workload('nats', objects)).lifecycle ?? {}
  const [program, ...args] = preStop?.exec?.command ?? []
  expect(program).toBe('/nats-server')
  const { child, pidFile, log } = server(2)
  expect((await readFile(pidFile, 'utf8')).trim()).toBe(String(child.pid))
  const ended = once(child, 'exit')
  const { code, stderr } = await run(
    await findTool('nats-server'),
    args.map((word) => word.replace('/run/nats/nats.pid', pidFile)),
  )
  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect((await ended)[0]).toBe(0)
  expect(log()).toMatch(/lame duck mode/i)
})

describe('the files', () => {
  test('that the helper writes are those that NATS reads', () => {
    const helper = fileOf('helper.conf')
    const names = [...helper.matchAll(/^svid\w*_file_name = "(.+)"$/gm)].map(([, name]) => name)
    expect(/cert_dir = "(.+)"/.exec(helper)?.[1]).toBe('/svid')
    const read = new Set([...config.matchAll(/"\/svid\/(.+?)"/g)].map(([, name]) => name))
    expect([...read].sort()).toEqual(names.sort())
    expect(helper).toContain(`pid_file_name = "${/pid_file: "(.+)"/.exec(config)?.[1] ?? '-'}"`)
  })

  test('fit on the claim', () => {
    expect(config).toContain('max_file_store: 8GB')
    const [claim] = workload('nats', objects).spec.volumeClaimTemplates ?? []
    expect(claim).toMatchObject({ spec: { resources: { requests: { storage: '10Gi' } } } })
  })

  test('of SPIRE give each server the host name by which the others call it', async () => {
    const identities = await build(join(KUBERNETES_DIR, 'spire'))
    const nats = identities.find(({ metadata }) => metadata.name === 'crank-nats')
    const [template = ''] = (nats?.spec as { dnsNameTemplates: string[] }).dnsNameTemplates
    const named = [0, 1, 2].map((number) => template.replace('{{ .PodMeta.Name }}', `nats-${number}`))
    expect([...config.matchAll(/nats-route:\/\/(.+?):6222/g)].map(([, host]) => host)).toEqual(named)
  })
})
