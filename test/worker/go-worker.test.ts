// docs/worker-protocol.md is enough: a worker in another language, plain Go, at work behind the real controller.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELLO, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

const BUILD_TIMEOUT_MS = 300_000
let mesh: Mesh
let worker: ChildProcess
let said = ''
let url = ''

beforeAll(async () => {
  mesh = await startMesh({ env: { CRANK_HEARTBEAT_INTERVAL_MS: '1000' } })
  const binary = join(mesh.dir, 'go-worker')
  const options = { cwd: 'test/fixtures/go-worker', env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '' } }
  await promisify(execFile)('go', ['build', '-o', binary, '.'], options)
  const files = await mesh.filesOf(HELLO)
  worker = spawn(binary, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      // Of several controllers, the first is away.
      CONTROLLER_URL: `https://127.0.0.1:1,${mesh.origin}`,
      CRANK_TLS_CERT: files.certFile,
      CRANK_TLS_KEY: files.keyFile,
      CRANK_TLS_BUNDLE: files.bundlePath,
    },
  })
  worker.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until('the Go worker has registered', () => said.includes('registered https://'), 30_000)
  url = /registered (\S+)/.exec(said)?.[1] ?? ''
}, BUILD_TIMEOUT_MS)

afterAll(async () => {
  worker.kill('SIGKILL')
  await mesh.close()
})

async function workers(): Promise<string> {
  return (await mesh.request(STREAMING, { path: '/workers' })).text
}

test('is called through the controller, in the trace of the caller', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const body = { verb: 'invoke', capability: 'hello_world', payload: { message: 'Ada' } }
  const answer = await mesh.route(STREAMING, body, { traceparent: `00-${traceId}-b7ad6b7169203331-01` })
  expect(answer.status).toBe(200)
  expect(answer.headers['x-worker-id']).toBe('worker-hello-world')
  expect(answer.body).toStrictEqual({
    greeting: 'Hello, Ada, from Go!',
    metadata: {
      caller: 'spiffe://crank.local/worker/streaming',
      traceparent: expect.stringMatching(`^00-${traceId}-[0-9a-f]{16}-01$`),
    },
    processing_time_ms: 0,
  })
})

test('its own refusal reaches the caller', async () => {
  const answer = await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {} })
  expect(answer.status).toBe(400)
  expect(answer.headers['x-worker-id']).toBe('worker-hello-world')
  expect(answer.body).toMatchObject({ error: 'INVALID_INPUT', retryable: false })
})

test('stays registered by its heartbeats', async () => {
  // A registration says nothing of the load: that is known from a heartbeat.
  await until('a heartbeat came', async () => /"state":"live".*"load":0/.test(await workers()))
})

test('admits nobody but the controller', async () => {
  const files = await mesh.filesOf(STREAMING)
  const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)])
  const ca = mesh.ca.certPem
  const asked = request(new URL('/health', url), { cert, key, ca, checkServerIdentity: () => undefined, agent: false })
  asked.end()
  await expect(once(asked, 'response')).rejects.toThrow()
})

test('says goodbye when it is stopped', async () => {
  worker.kill('SIGTERM')
  expect(await once(worker, 'exit')).toStrictEqual([0, null])
  expect(await workers()).toBe('{"workers":[]}')
})
