// Where the probe of a registration may be pointed, and that a resolver which hangs stops nobody else.
import { lookup as systemLookup } from 'node:dns/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Addresses } from '../../src/platform/host-lookup.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { postJson, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'

/** Names of this zone are never answered. Nothing but the end of the process frees them, as with getaddrinfo. */
const DEAD_ZONE = '.dead.test'
/** Stands for an allowed address the first time, and for the metadata service from then on. */
const REBINDING = 'rebinding.test'

const asked: string[] = []
let rebound = false

async function lookup(host: string): Promise<Addresses> {
  asked.push(host)
  if (host.endsWith(DEAD_ZONE)) return new Promise(() => undefined)
  if (host === REBINDING) return [{ address: rebound ? '169.254.169.254' : '127.0.0.1', family: 4 }]
  if (host.endsWith('.metadata.test')) return [{ address: '64:ff9b::a9fe:a9fe', family: 6 }]
  if (host.endsWith('.mesh.test')) return [{ address: '127.0.0.1', family: 4 }]
  return systemLookup(host, { all: true })
}

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh({ lookup })
  worker = await startFakeWorker(mesh, greets)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const at = (host: string): string => `https://${host}:${worker.port}`
/** What each of these may provide. */
const OTHERS = {
  'document-conversion': 'convert:document_to_pdf',
  'email-classifier': 'classify:spam_detection',
  'semantic-search': 'search:semantic_documents',
  'zettel-manager': 'manage:sonnet_zettel',
}

describe('while 40 registrations wait for names that are never answered', () => {
  test('honest workers register by name, by /etc/hosts and by address, and are called', async () => {
    const pending = Array.from({ length: 40 }, async (_, n) => {
      const [name, capability] = Object.entries(OTHERS)[n % 4]!
      const [verb = '', noun = ''] = capability.split(':')
      return mesh.request(
        `worker/${name}`,
        postJson('/register', {
          worker_id: `worker-${name}.r${n}`,
          worker_url: `https://w${n}${DEAD_ZONE}:8443`,
          capabilities: [{ ...HELLO_SCHEMA, verb, name: noun }],
        }),
      )
    })
    await expect.poll(() => asked.some((host) => host.endsWith(DEAD_ZONE))).toBe(true)
    expect(await worker.register({ url: at('a.mesh.test') })).toMatchObject({ status: 200 })
    expect(await worker.register({ url: at('localhost') })).toMatchObject({ status: 200 })
    expect(await worker.register()).toMatchObject({ status: 200 })
    expect(await worker.register({ url: at('b.mesh.test') })).toMatchObject({ status: 200 })
    expect(await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })).toMatchObject({ status: 200 })

    for (const { status, body, headers } of await Promise.all(pending)) {
      expect(`${status} ${String(body.error)}`).toMatch(/^(502 worker_failed|503 overloaded)$/)
      expect(headers['retry-after']).toBe(status === 503 ? '1' : undefined)
    }
    // One occupies a thread; the rest were not even asked for.
    expect(asked.filter((host) => host.endsWith(DEAD_ZONE))).toHaveLength(1)
  })
})

describe('a name', () => {
  test('that stands for the metadata service behind NAT64 is not connected to', async () => {
    expect(await worker.register({ url: at('a.metadata.test') })).toMatchObject({
      status: 502,
      body: { error: 'worker_failed' },
    })
  })

  test('is resolved and checked again for every new connection (DNS rebinding)', async () => {
    await using own = await startMesh({ lookup }).then((started) => ({
      ...started,
      [Symbol.asyncDispose]: started.close,
    }))
    const moved = await startFakeWorker(own, greets)
    const call = () => own.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })
    expect(await moved.register({ url: `https://${REBINDING}:${moved.port}` })).toMatchObject({ status: 200 })
    expect(await call()).toMatchObject({ status: 200 })
    rebound = true
    // What the registration was told is remembered for five seconds.
    await expect
      .poll(
        async () => {
          moved.server.closeAllConnections()
          return (await call()).status
        },
        { timeout: 20_000 },
      )
      .toBe(502)
    const { length } = moved.seen
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(moved.seen).toHaveLength(length)
    await moved.close()
  })
})
