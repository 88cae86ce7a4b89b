// Variables that nobody reads, as a user meets them: at the start of each program.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../fixtures/until.ts'
import { crank, startCrank } from './crank.ts'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-names-'))
  await crank(['cert', 'dev-ca', '--state-dir', dir])
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const MISSPELT = { CRANK_AUDT_DIR: '/tmp/a' }
const SAYS = 'CRANK_AUDT_DIR: unknown setting; did you mean CRANK_AUDIT_DIR?'

test.each([
  { args: ['controller'] },
  { args: ['worker', 'streaming'] },
  { args: ['audit', 'tail'] },
  { args: ['can-i', 'a', 'b', 'c'] },
])('$args refuses to run with a misspelt setting, and names both', async ({ args }) => {
  const { code, stdout, stderr } = await crank(args, { env: MISSPELT })
  expect(code).toBe(2)
  expect(`${stdout}${stderr}`).toContain(SAYS)
})

test('the demo refuses it too, before it starts anything', async () => {
  const { run } = await import('../../src/platform/run-program.ts')
  const demo = new URL('../../scripts/demo.ts', import.meta.url).pathname
  const { code, stderr } = await run(process.execPath, [demo, '--port', '0'], { env: { ...MISSPELT }, cwd: dir })
  expect(code).toBe(2)
  expect(stderr).toContain(SAYS)
})

test('check lists it, and what is known to nobody', async () => {
  const env = { ...MISSPELT, CRANK_FROM_TOMORROW: '1', CRANK_STATE_DIR: dir, CRANK_ADMIN_URL: 'http://127.0.0.1:1' }
  const { code, stdout } = await crank(['check'], { env })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^× setting +CRANK_AUDT_DIR: .*did you mean CRANK_AUDIT_DIR\?/m)
  expect(stdout).toMatch(/^‼ settings +nothing reads CRANK_FROM_TOMORROW$/m)
})

test.each(['controller', 'worker'])('a %s starts with a variable known to nobody, and warns once', async (what) => {
  const name = what === 'controller' ? 'controller' : 'worker-streaming'
  const env = {
    CRANK_FROM_TOMORROW: '1',
    CRANK_SERVICE_HOST: '10.0.0.1',
    CRANK_STATE_DIR: dir,
    CRANK_TLS_CERT: join(dir, `pki/${name}.crt`),
    CRANK_TLS_KEY: join(dir, `pki/${name}.key`),
    CRANK_TLS_BUNDLE: join(dir, 'pki/crank.local.pem'),
    ...(what === 'controller' ? { CRANK_PORT: '0', CRANK_ADMIN_PORT: '0' } : {}),
  }
  const child = startCrank(what === 'controller' ? ['controller'] : ['worker', 'streaming'], { env })
  const exited = once(child, 'exit')
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await until('it is up', () => out.includes(what === 'controller' ? '"controller_ready"' : '"worker_listening"'))
  child.kill('SIGTERM')
  await exited
  const warnings = out.split('\n').filter((line) => line.includes('"settings_unknown"'))
  expect(warnings.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { level: 'warn', names: ['CRANK_FROM_TOMORROW'] },
  ])
})
