// What a controller refuses to start with: exit code 2 and a sentence that says what to do, never a half-started process.
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { runController, startControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, POLICY_DIR } from '../fixtures/policy-dir.ts'
import { readAuditLines, verifyLog } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  parties = await createParties()
  env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
})
afterAll(() => parties.close())

describe('a controller refuses to start', () => {
  const switches: [NodeJS.ProcessEnv, string][] = [
    [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, 'NODE_TLS_REJECT_UNAUTHORIZED=0: would accept any certificate'],
    [{ SSLKEYLOGFILE: '/dev/null' }, 'SSLKEYLOGFILE: would write the session keys to a file'],
    [{ NODE_OPTIONS: '--tls-min-v1.0' }, '--tls-min-v1.0 in NODE_OPTIONS: would allow TLS 1.0'],
    [
      { NODE_OPTIONS: '--inspect=127.0.0.1:0' },
      '--inspect in NODE_OPTIONS: would let anyone who reaches the debugger run code',
    ],
    [{ NODE_OPTIONS: '--insecure-http-parser' }, '--insecure-http-parser in NODE_OPTIONS: would accept malformed HTTP'],
  ]
  for (const [weakening, sentence] of switches) {
    test(`with ${Object.entries(weakening).flat().join('=')}`, async () => {
      const { code, stdout, stderr } = await runController({ ...env, ...weakening })
      expect(stderr).toContain(sentence)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    })
  }

  test('with a bad configuration, naming all its faults at once', async () => {
    const faulty = { CRANK_PORT: 'abc', OPA_TIMEOUT_MS: '0', HTTPS_ONLY: 'false', CRANK_AUDIT_SYNC: 'sometimes' }
    const { code, stderr } = await runController({ ...faulty, OPA_URL: 'ftp://opa' })
    expect(code).toBe(2)
    for (const [name, value] of Object.entries(faulty)) expect(stderr).toContain(`${name}="${value}": must be`)
    for (const name of ['CRANK_TLS_CERT', 'CRANK_TLS_KEY', 'CRANK_TLS_BUNDLE']) {
      expect(stderr).toContain(`${name} is not set`)
    }
    expect(stderr).toContain('OPA_URL="ftp://opa"')
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  for (const name of ['CRANK_PORT', 'CRANK_ADMIN_PORT']) {
    test(`on a port that is taken, saying how to choose another with ${name}`, async () => {
      const other = createServer().listen(0, '127.0.0.1')
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo
      const { code, stderr } = await runController({ ...env, [name]: String(port) })
      expect(stderr).toContain(`${name}="${port}": port ${port} on 127.0.0.1 is in use`)
      expect(stderr).toContain(`set ${name} to another port`)
      expect(code).toBe(2)
      other.close()
    })
  }

  test('with a policy.wasm of other Rego and no OPA to build it, naming the command that does', async () => {
    const rego = await readFile(join(POLICY_DIR, 'common.rego'), 'utf8')
    await using policies = await copyPolicies({ 'common.rego': `${rego}\n# changed\n` })
    const withoutOpa = { CRANK_CACHE_DIR: parties.dir, PATH: dirname(process.execPath) }
    const { code, stderr } = await runController({ ...env, ...withoutOpa, CRANK_POLICY_DIR: policies.dir })
    expect(stderr).toContain('was not built from the Rego beside it')
    expect(stderr).toContain('npm run build:policy')
    expect(code).toBe(2)
  })

  test('without a policy folder, naming the variable, and with a file in its place', async () => {
    for (const [dir, what] of [
      [join(parties.dir, 'nowhere'), 'no such folder'],
      [join(POLICY_DIR, 'common.rego'), 'not a folder'],
    ] as const) {
      const { code, stderr } = await runController({ ...env, CRANK_POLICY_DIR: dir })
      expect(stderr).toContain(`CRANK_POLICY_DIR=${dir}: ${what}; set it to the folder of your Rego files`)
      expect(code).toBe(2)
    }
  })

  test("with another identity than the controller's", async () => {
    const { code, stdout, stderr } = await runController({ ...env, ...(await parties.tlsEnv('worker/streaming')) })
    expect(stderr).toContain('CRANK_TLS_CERT is for spiffe://crank.local/worker/streaming')
    expect(code).toBe(2)
    // And where lines are collected, one of them says so.
    const lines = stdout.trimEnd().split('\n')
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({
      level: 'fatal',
      service: 'crank-controller',
      event: 'controller_start_failed',
      err: { message: expect.stringContaining('CRANK_TLS_CERT is for') },
    })
  })

  test('on an audit folder that another controller writes, naming the folder; the other one goes on', async () => {
    const folder = join(parties.dir, 'shared')
    const first = await startControllerProcess({ ...env, CRANK_AUDIT_DIR: folder })
    const { code, stderr } = await runController({ ...env, CRANK_AUDIT_DIR: folder })
    expect(stderr).toContain(`audit folder ${folder}/0 is in use: another controller writes to it`)
    expect(code).toBe(2)
    expect((await fetch(`${first.adminOrigin}/readyz`)).status).toBe(200)
    expect(await first.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(await verifyLog(`${folder}/0`)).toMatchObject({ ok: true, tornTailBytes: 0 })
  })

  test('on an audit segment whose last record was changed', async () => {
    const folder = join(parties.dir, 'changed')
    await mkdir(join(folder, '0'), { recursive: true })
    await appendFile(join(folder, '0/1.jsonl'), '{"not":"a record"}\n')
    const { code, stderr } = await runController({ ...env, CRANK_AUDIT_DIR: folder })
    expect(stderr).toContain(join(folder, '0/1.jsonl'))
    expect(stderr).not.toMatch(/\n\s+at /)
    expect(code).toBe(2)
  })
})

test('a torn last line, as a crash leaves it, is cut off at the start, logged and recorded', async () => {
  const log = join(parties.dir, 'torn/0')
  const first = await startControllerProcess({ ...env, CRANK_AUDIT_DIR: dirname(log) })
  await first.stop('SIGKILL')
  const torn = '{"v":1,"seq":2,"prev":"'
  await appendFile(join(log, '1.jsonl'), torn)
  expect(await verifyLog(log)).toMatchObject({ tornTailBytes: torn.length })
  const second = await startControllerProcess({ ...env, CRANK_AUDIT_DIR: dirname(log) })
  expect(await second.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(second.log).toContainEqual(expect.objectContaining({ event: 'audit_repaired', bytes_removed: torn.length }))
  expect((await readAuditLines(log)).map(({ event }) => event)).toEqual([
    'controller_started',
    'audit_segment_opened',
    'audit_repaired',
    'controller_started',
    'controller_stopped',
  ])
  expect(await verifyLog(log)).toMatchObject({ ok: true, tornTailBytes: 0 })
})
