// A worker as a process of its own: how it starts, what it says, how it ends.
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../fixtures/until.ts'
import { openSite, type Site } from './worker-fixture.ts'

const START = `
  import { startWorkerProcess } from './src/worker/main.ts'
  import { createHelloWorld } from './src/workers/hello_world.ts'
  await startWorkerProcess(createHelloWorld(), { env: process.env, flags: {} }).catch((error) => {
    process.stderr.write(error.message)
    process.exit(2)
  })`

let site: Site
const children: ChildProcess[] = []
beforeEach(async () => {
  site = await openSite()
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await site.close()
})

async function startProcess(more: NodeJS.ProcessEnv = {}, stdio: StdioOptions = 'pipe') {
  const files = await site.filesOf('worker/hello-world')
  const env = {
    PATH: process.env['PATH'],
    CONTROLLER_URL: site.controller.url,
    CRANK_TLS_CERT: files.certFile,
    CRANK_TLS_KEY: files.keyFile,
    CRANK_TLS_BUNDLE: files.bundlePath,
    ...more,
  }
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', START], { env, stdio })
  children.push(child)
  const output = { out: '', err: '' }
  child.stdout?.on('data', (chunk: Buffer) => (output.out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (output.err += chunk.toString()))
  return { child, output }
}

test('says that it is ready, and on SIGTERM deregisters and exits with 0', async () => {
  const { child, output } = await startProcess()
  await until('the worker is ready', () => output.out.includes('"worker_ready"'))
  const events = output.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(events.map(({ event }) => event)).toStrictEqual(['worker_listening', 'worker_registered', 'worker_ready'])
  expect(events[2]).toMatchObject({ service: 'crank-worker-hello-world', port: expect.any(Number) })
  child.kill('SIGTERM')
  expect(await once(child, 'close')).toStrictEqual([0, null])
  expect(site.controller.received.at(-1)?.path).toBe('/deregister')
})

test('works with stdout and stderr on a full disk, and ends as it should', async () => {
  const full = openSync('/dev/full', 'w')
  const { child } = await startProcess({}, ['ignore', full, full])
  closeSync(full)
  const received = (path: string) => site.controller.received.find((call) => call.path === path)
  await until('the worker sends heartbeats', () => received('/heartbeat') !== undefined)
  const { worker_url } = received('/register')!.body as { worker_url: string }
  const pool = site.controller.poolTo(worker_url, 'spiffe://crank.local/worker/hello-world')
  const { statusCode, body } = await pool.request({ method: 'GET', path: '/health' })
  expect([statusCode, await body.json()]).toMatchObject([200, { status: 'ok', log_lines_dropped: 0 }])
  child.kill('SIGTERM')
  expect(await once(child, 'close')).toStrictEqual([0, null])
  expect(received('/deregister')).toBeDefined()
})

test('a taken port is one clear fault', async () => {
  const port = new URL(site.controller.url).port
  const { child, output } = await startProcess({ CRANK_WORKER_PORT: port })
  expect(await once(child, 'close')).toStrictEqual([2, null])
  expect(output.err).toContain(`CRANK_WORKER_PORT="${port}": is taken`)
  expect(JSON.parse(output.out)).toMatchObject({
    level: 'fatal',
    service: 'crank-worker-hello-world',
    event: 'worker_start_failed',
  })
})

test('refuses to start where TLS is weakened', async () => {
  const { child, output } = await startProcess({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })
  expect(await once(child, 'close')).toStrictEqual([2, null])
  expect(output.err).toContain('NODE_TLS_REJECT_UNAUTHORIZED')
})
