// The rule for upgrades (docs/operations/upgrade.md): what the last release left on disk is read, continued and proven by this
// version. `npm run release` wrote it; it is copied, so that the fixture stays as it is.
import { appendFileSync, readFileSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FORMATS } from '../../src/core/formats.ts'
import { crank } from '../cli/in-process.ts'
import { greets, startFakeWorker } from '../fakes/worker.ts'
import { runController, startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, HELLO, postJson, STREAMING, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

vi.setConfig({ testTimeout: 60_000 })

const RELEASED = join(import.meta.dirname, '../fixtures/released')
const HOUR_MS = 3_600_000
const versions = await readdir(RELEASED)

const started: ControllerProcess[] = []
let parties: Parties
let env: NodeJS.ProcessEnv
let stateDir: string
beforeEach(async () => {
  parties = await createParties()
  stateDir = join(parties.dir, 'state')
})
afterEach(async () => {
  // One that a failed test left.
  for (const { child } of started.splice(0)) child.kill('SIGKILL')
  await parties.close()
})

async function start(settings: NodeJS.ProcessEnv): Promise<ControllerProcess> {
  const controller = await startControllerProcess(settings)
  started.push(controller)
  return controller
}

async function takeOver(version: string): Promise<string> {
  const released = join(RELEASED, version)
  await cp(released, stateDir, { recursive: true })
  env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: stateDir,
    CRANK_POLICY_DIR: join(stateDir, 'policies'),
  }
  return released
}

/** The records of its first segment. */
function count(released: string): number {
  return readFileSync(join(released, 'audit/0/1.jsonl'), 'utf8').trimEnd().split('\n').length
}

test('there is a released state to read', () => {
  expect(versions.length).toBeGreaterThan(0)
})

describe.each(versions)('the state of %s', (version) => {
  let controller: ControllerProcess
  const event = (name: string) => controller.log.find((line) => line.event === name)

  test('is that of formats which this version reads: its own and the ones before', async () => {
    const about = JSON.parse(await readFile(join(RELEASED, version, 'version.json'), 'utf8')) as {
      formats: Record<string, number>
    }
    for (const [name, format] of Object.entries(FORMATS)) {
      expect([format, format - 1], name).toContain(about.formats[name])
    }
  })

  test('is taken over: workers remembered, stored answers repeated, the audit log continued and proven', async () => {
    const released = await takeOver(version)
    // As if it had been stopped a moment ago: keys are kept for an hour.
    const database = new DatabaseSync(join(stateDir, 'idempotency.sqlite'))
    database.prepare('UPDATE keys SET expires_ms = ?, used_ms = ?').run(Date.now() + HOUR_MS, Date.now())
    database.close()
    // The key of the release is not in the repository: this version signs with another one, and both are trusted.
    const signingKey = join(parties.dir, 'audit.key')
    const made = await crank(['audit', 'key', `--out=${signingKey}`])
    controller = await start({ ...env, CRANK_AUDIT_SIGNING_KEY: signingKey })
    await until('the registry is recalled', () => event('registry_recalled') !== undefined)
    expect(event('registry_recalled')).toMatchObject({ remembered: 1 })
    // As the caller sent it to the release; no worker is there that could answer.
    const { certFile, keyFile, bundlePath } = await parties.filesOf(STREAMING)
    const identity = [`--cert=${certFile}`, `--key=${keyFile}`, `--bundle=${bundlePath}`]
    const call = ['invoke', 'invoke', 'hello_world', '--data={"message":"release"}', '--idempotency-key=release']
    const repeated = await crank([...call, ...identity, `--controller-url=${controller.origin}`])
    expect(repeated).toMatchObject({ code: 0, stdout: expect.stringContaining('Hello, release!') })
    expect([event('registry_hint_ignored'), event('idempotency_unavailable')]).toEqual([undefined, undefined])
    expect(event('audit_segment_opened')).toMatchObject({ reason: 'started', previous_seq: count(released) })
    await controller.stop('SIGTERM')
    const keys = [`--public-key=${join(released, 'audit.pub')}`, `--public-key=${made.stdout.trim()}`]
    const proof = [`--checkpoint=${join(released, 'audit/0/checkpoint')}`, ...keys]
    const verified = await crank(['audit', 'verify', `--state-dir=${stateDir}`, ...proof, '-o', 'json'])
    expect(verified).toMatchObject({ code: 0, stderr: '' })
    const { logs } = JSON.parse(verified.stdout) as { logs: { records: number }[] }
    expect(logs[0]!.records).toBeGreaterThan(count(released) + 2)
  })

  test('has a registration that this version accepts as it was sent', async () => {
    await takeOver(version)
    controller = await start(env)
    const { workers } = JSON.parse(await readFile(join(RELEASED, version, 'registry.json'), 'utf8')) as {
      workers: { registration: object }[]
    }
    const request = parties.request.bind(undefined, controller.origin)
    const worker = await startFakeWorker({ ...parties, request }, greets)
    const body = { ...workers[0]!.registration, worker_url: worker.url }
    expect(await request(HELLO, postJson('/register', body))).toMatchObject({ status: 200 })
    await worker.close()
    await controller.stop('SIGTERM')
  })

  test('with an audit log that a newer version continued is refused, with both formats and the way out', async () => {
    await takeOver(version)
    const segment = join(stateDir, 'audit/0/1.jsonl')
    const last = readFileSync(segment, 'utf8').trimEnd().split('\n').at(-1)!
    appendFileSync(segment, `${last.replace('{"v":1,', `{"v":${FORMATS.audit_record + 1},`)}\n`)
    const { code, stderr } = await runController(env)
    expect(code).toBe(2)
    expect(stderr).toContain(
      `has format ${FORMATS.audit_record + 1}, and this version of crank reads format ${FORMATS.audit_record}; start the version of crank that wrote it`,
    )
  })

  test('with a store of keys of a newer version: calls with a key are refused, all others are served', async () => {
    await takeOver(version)
    const database = new DatabaseSync(join(stateDir, 'idempotency.sqlite'))
    database.exec(`PRAGMA user_version = ${FORMATS.idempotency_store + 1}`)
    database.close()
    controller = await start(env)
    const call = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }
    const request = (body: object) => parties.request(controller.origin, STREAMING, postJson('/route', body))
    expect(await request({ ...call, idempotency_key: 'release' })).toMatchObject({
      status: 503,
      body: { error: 'idempotency_unavailable' },
    })
    expect(await request(call)).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    expect(JSON.stringify(event('idempotency_unavailable'))).toContain(
      `has format ${FORMATS.idempotency_store + 1}, and this version of crank reads format ${FORMATS.idempotency_store}; start the version that wrote it`,
    )
    await controller.stop('SIGTERM')
  })

  test('with a registry of a newer version: it is ignored with both formats, and workers register again', async () => {
    await takeOver(version)
    const file = join(stateDir, 'registry.json')
    await writeFile(file, (await readFile(file, 'utf8')).replace('{"v":1,', `{"v":${FORMATS.registry + 1},`))
    controller = await start(env)
    expect(event('registry_hint_ignored')).toMatchObject({
      reason: `it has format ${FORMATS.registry + 1}, and this version of crank reads format ${FORMATS.registry}`,
    })
    await controller.stop('SIGTERM')
  })
})
