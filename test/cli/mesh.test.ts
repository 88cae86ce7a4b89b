// The commands that talk to a running mesh: controller and two workers, each a process of its own.
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMesh, type Mesh } from '../../scripts/demo/mesh.ts'
import { until } from '../fixtures/until.ts'
import { startCrank, type CrankOptions } from './crank.ts'
import { crank } from './in-process.ts'

const TEXT = { content: 'one two three four', chunk_size: 2 }

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh(
    { once: true, json: true, opa: false, trace: false, all: false, port: 0 },
    new AbortController().signal,
  )
}, 90_000)
afterAll(() => mesh[Symbol.asyncDispose]())

/** Runs a command against the mesh. */
const run = (args: string[], options: CrankOptions = {}) => {
  const env = { CONTROLLER_URL: mesh.controllerUrl, CRANK_STATE_DIR: mesh.stateDir, ...options.env }
  return crank(args, { ...options, env })
}
const hello = (data: string, ...more: string[]) =>
  run(['invoke', 'invoke', 'hello_world', '--as', 'streaming', '--data', data, ...more])

test('invoke prints the body on stdout, and status, decision, trace and caller on stderr', async () => {
  const { code, stdout, stderr } = await hello('{"message":"Ada"}')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ greeting: 'Hello, Ada!' })
  expect(stderr).toMatch(/^200 {2}as spiffe:\/\/crank\.local\/worker\/streaming$/m)
  expect(stderr).toMatch(/^decision [0-9a-f-]{36} {2}trace [0-9a-f]{32} {2}worker worker-hello-world$/m)
})

test('invoke takes its payload from a file', async () => {
  const file = join(mesh.stateDir, 'payload.json')
  await writeFile(file, '{"message":"file"}')
  expect((await hello(`@${file}`)).stdout).toContain('Hello, file!')
})

test('invoke takes its payload from stdin', async () => {
  const args = ['invoke', 'invoke', 'hello_world', '--as', 'hello-world', '--data', '-', '-o', 'json']
  const { code, stdout } = await run(args, { input: '{"message":"stdin"}' })
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ status: 200, body: { greeting: 'Hello, stdin!' } })
})

test('invoke as a worker that may not exits with 1 and shows the reason', async () => {
  const { code, stdout } = await run(['invoke', 'convert', 'document_to_pdf', '--as', 'streaming', '-o', 'json'])
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    status: 403,
    worker_id: null,
    body: { error: 'capability_access_denied', reason: expect.stringContaining('not authorized') },
  })
})

test('invoke answers a refusal by the worker with 1', async () => {
  const { code, stdout } = await hello('{"message":7}')
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({ error: 'INVALID_INPUT' })
})

test('invoke without --as says as whom it acts, and with --as it does not', async () => {
  const words = ['invoke', 'invoke:hello_world', '--data', '{"message":"Ada"}']
  const acting = 'calling as spiffe://crank.local/worker/streaming; choose another caller with --as'
  expect(await run(words)).toMatchObject({ code: 0, stderr: expect.stringContaining(acting) })
  expect((await run([...words, '--as', 'streaming'])).stderr).not.toContain('calling as')
  const env = {
    CRANK_TLS_CERT: join(mesh.stateDir, 'pki/worker-streaming.crt'),
    CRANK_TLS_KEY: join(mesh.stateDir, 'pki/worker-streaming.key'),
    CRANK_TLS_BUNDLE: join(mesh.stateDir, 'pki/crank.local.pem'),
  }
  expect((await run(words, { env })).stderr).not.toContain('calling as')
  expect((await run(['workers'])).stderr).toContain(acting)
})

test('invoke of a capability that was mistyped names the one that was meant', async () => {
  const { code, stderr } = await run(['invoke', 'invoke', 'helo_world', '--as', 'streaming'])
  expect(code).toBe(1)
  expect(stderr).toContain('no live worker offers invoke:helo_world; did you mean invoke:hello_world?')
})

test('invoke of the admin listener says what it is', async () => {
  const url = `https://${new URL(mesh.admin.url).host}`
  const { code, stderr } = await run(['invoke', 'invoke', 'hello_world', '--controller-url', url])
  expect(code).toBe(3)
  expect(stderr).toContain(`cannot reach the controller at ${url}: it answers without TLS\n  is it the admin listener?`)
})

test('invoke with -o json gathers the events of a stream', async () => {
  const { code, stdout } = await run(['invoke', 'stream', 'text_events', '--data', JSON.stringify(TEXT), '-o', 'json'])
  expect(code).toBe(0)
  const { events } = JSON.parse(stdout) as { events: { data: string }[] }
  expect(events.map(({ data }): unknown => JSON.parse(data))).toMatchObject([
    { content: 'one two' },
    { content: 'three four' },
  ])
})

test('invoke prints the events of a stream as they arrive', async () => {
  const data = JSON.stringify({ interval_ms: 60_000, count: 2 })
  const child = startCrank(['invoke', 'stream', 'sse_events', '--data', data], {
    env: { CONTROLLER_URL: mesh.controllerUrl, CRANK_STATE_DIR: mesh.stateDir },
  })
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await until('the first of two events is printed', () => out.includes('"sequence":1'))
  expect(child.exitCode).toBeNull()
  child.kill('SIGKILL')
  await once(child, 'exit')
})

test('invoke with the certificate of another trust domain finds no trust, and exits with 3', async () => {
  const stranger = join(mesh.stateDir, 'stranger')
  await crank(['cert', 'dev-ca', '--state-dir', stranger])
  const { code, stderr } = await run(['invoke', 'a', 'b'], { env: { CRANK_STATE_DIR: stranger } })
  expect(code).toBe(3)
  expect(stderr).toContain(`cannot reach the controller at ${mesh.controllerUrl}`)
})

test('invoke where nothing listens exits with 3', async () => {
  const { code, stdout, stderr } = await run(['invoke', 'a', 'b', '--controller-url', 'https://127.0.0.1:1'])
  expect(code).toBe(3)
  expect(stdout).toBe('')
  expect(stderr).toContain('ECONNREFUSED')
  expect(stderr).toContain('crank check')
})

test('invoke with several controllers asks the next one when one is away, and says so', async () => {
  const urls = `https://127.0.0.1:1, https://127.0.0.1:2, https://127.0.0.1:3, ${mesh.controllerUrl}`
  // Each process begins with one of them at random: that all begin with the last one happens once in 65,536 runs.
  const runs = await Promise.all(
    [1, 2, 3, 4, 5, 6, 7, 8].map(() => hello('{"message":"Ada"}', '--controller-url', urls)),
  )
  expect(runs.map(({ code }) => code)).toEqual(runs.map(() => 0))
  expect(runs.map(({ stderr }) => stderr).join('')).toMatch(
    /^controller https:\/\/127\.0\.0\.1:[123]: connect ECONNREFUSED .*; asking another one$/m,
  )
  const { code, stdout } = await run(['workers'], { env: { CONTROLLER_URL: urls } })
  expect(code).toBe(0)
  expect(stdout).toContain('worker-hello-world')
})

test('invoke where none of several controllers answers exits with 3 and names each', async () => {
  const urls = 'https://127.0.0.1:1,https://127.0.0.1:2'
  const { code, stderr } = await run(['invoke', 'a', 'b', '--controller-url', urls])
  expect(code).toBe(3)
  expect(stderr).toMatch(/no controller has answered: https:.*ECONNREFUSED.*; https:.*ECONNREFUSED/)
  for (const url of urls.split(',')) expect(stderr).toContain(`${url}: connect ECONNREFUSED`)
})

test('invoke with a list that has an invalid URL exits with 2 and names it', async () => {
  const { code, stderr } = await run(['workers'], { env: { CONTROLLER_URL: 'https://127.0.0.1:9000,http://b' } })
  expect(code).toBe(2)
  expect(stderr).toContain('must be https URLs of host and port only, separated by commas; "http://b" is not')
})

test('invoke as somebody without a certificate exits with 2 and says how to get one', async () => {
  const { code, stderr } = await run(['invoke', 'a', 'b', '--as', 'nobody'])
  expect(code).toBe(2)
  expect(stderr).toMatch(/worker-nobody\.(crt|key): does not exist/)
  expect(stderr).toContain('crank cert dev-ca')
})

test('invoke with half a certificate exits with 2', async () => {
  const { code, stderr } = await run(['invoke', 'a', 'b', '--cert', 'x.crt'])
  expect(code).toBe(2)
  expect(stderr).toContain('--cert, --key and --bundle must be given together')
})

test('invoke with a controller URL that is none exits with 2', async () => {
  const { code, stderr } = await run(['invoke', 'a', 'b'], { env: { CONTROLLER_URL: 'http://127.0.0.1:9000' } })
  expect(code).toBe(2)
  expect(stderr).toContain('CONTROLLER_URL="http://127.0.0.1:9000"')
})

test('workers lists both workers, as a table and as JSON', async () => {
  const table = await run(['workers'])
  expect(table.code).toBe(0)
  expect(table.stdout).toMatch(/^WORKER +STATE/)
  expect(table.stdout).toMatch(/^worker-streaming +live/m)
  const { workers } = JSON.parse((await run(['workers', '-o', 'json'])).stdout) as { workers: { worker_id: string }[] }
  expect(workers.map(({ worker_id }) => worker_id).toSorted()).toEqual(['worker-hello-world', 'worker-streaming'])
})

test('capabilities lists what is live and who provides it', async () => {
  const { code, stdout } = await run(['capabilities'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^invoke:hello_world +1\.0\.0 +worker-hello-world/m)
})

test('data is plain where stdout is not a terminal', async () => {
  expect((await run(['workers'])).stdout).not.toContain('\u001b')
})

test('check finds nothing wrong with a mesh that runs', async () => {
  // The command evaluates the policy once, without a second try: on a busy machine cold wasm takes longer than the default.
  const env = { OPA_TIMEOUT_MS: '10000' }
  const { code, stdout } = await run(['check', '--admin-url', mesh.admin.url, '-o', 'json'], { env })
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { name: string; status: string }[] }
  // Checkpoints are signed only where somebody has made a key.
  expect(checks.filter(({ status }) => status !== 'ok')).toMatchObject([{ name: 'audit checkpoints', status: 'warn' }])
  expect({ ok, code }).toEqual({ ok: true, code: 0 })
  expect(new Set(checks.map(({ name }) => name))).toEqual(
    new Set([
      'node',
      'switches',
      'certificate',
      'clock',
      'policy',
      'audit chain',
      'audit checkpoints',
      'audit disk',
      'controller',
      'worker-hello-world',
      'worker-streaming',
    ]),
  )
})

test('check says what is wrong and how to fix it, and exits with 1', async () => {
  const env = { CRANK_STATE_DIR: join(mesh.stateDir, 'empty'), CRANK_POLICY_DIR: '/nowhere' }
  const { code, stdout } = await run(['check', '--admin-url', 'http://127.0.0.1:1'], { env })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^× certificates .*\n +-> .*crank cert dev-ca/m)
  expect(stdout).toMatch(/^× policy .*\n +-> .*CRANK_POLICY_DIR/m)
  expect(stdout).toMatch(/^‼ audit file .*\n +-> /m)
  expect(stdout).toMatch(/^× controller .*ECONNREFUSED.*\n +-> .*--admin-url/m)
})

test('check finds a sidecar that does not answer', async () => {
  const { code, stdout } = await run(['check', '--admin-url', mesh.admin.url], {
    env: { OPA_URL: 'http://127.0.0.1:1' },
  })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^× policy .*does not respond.*\n +-> OPA_URL=http:\/\/127\.0\.0\.1:1/m)
})

test('a controller on a port that is taken exits with 2 and says which', async () => {
  const env = {
    CRANK_TLS_CERT: join(mesh.stateDir, 'pki/controller.crt'),
    CRANK_TLS_KEY: join(mesh.stateDir, 'pki/controller.key'),
    CRANK_TLS_BUNDLE: join(mesh.stateDir, 'pki/crank.local.pem'),
    CRANK_STATE_DIR: join(mesh.stateDir, 'second'),
    LOG_LEVEL: 'silent',
  }
  const port = new URL(mesh.controllerUrl).port
  const { code, stderr } = await run(['controller', '--port', port, '--admin-port', '0'], { env })
  expect(code).toBe(2)
  expect(stderr).toContain(`port ${port} on 127.0.0.1 is in use`)
})
