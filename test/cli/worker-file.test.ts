// `crank worker ./my.ts`: a worker of the user's own, from its file.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'
import { startMesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

const ROOT = join(import.meta.dirname, '../..')
const CRANK = join(ROOT, 'bin/crank.js')
const DEFINE = `import Type from '${ROOT}/node_modules/typebox/build/index.mjs'
import { defineCapability, defineWorker } from '${ROOT}/src/worker/define.ts'
const Text = Type.Object({ text: Type.String() })
const capability = defineCapability({
  verb: 'invoke', name: 'hello_world', version: '1.0.0', input: Text, output: Text, handler: ({ input }) => input,
})
const define = (id: string) => defineWorker({ id, capabilities: [capability] })
`
const FILES = {
  'hello.ts': `${DEFINE}export const anything = define('worker-hello-world')\n`,
  'two.ts': `${DEFINE}export const first = define('worker-a')\nexport const second = define('worker-hello-world')\n`,
  'functions.ts': `${DEFINE}export const createIt = () => define('worker-a')\n`,
  'empty.ts': '',
  'throws.ts': `\nthrow new Error('no database')\n`,
  'bad.ts': `${DEFINE}export const worker = define('worker a')\n`,
  'syntax.ts': 'export const = 1\n',
  'lost.ts': `import 'no-such-package'\n`,
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-worker-file-'))
  await mkdir(join(folder, 'folder.ts'))
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const crank = (...args: string[]) =>
  run(process.execPath, [CRANK, 'worker', ...args], { cwd: folder, env: { PATH: process.env['PATH'] } })

test.each([
  { args: ['./none.ts'], says: ['./none.ts: no such file'] },
  { args: ['folder.ts'], says: ['folder.ts is not a file'] },
  {
    args: ['./empty.ts'],
    says: ['./empty.ts exports no worker definition: it exports nothing', 'defineWorker({ … })'],
  },
  {
    args: ['./functions.ts'],
    says: ['exports no worker definition: its exports are createIt', 'export const worker ='],
  },
  {
    args: ['two.ts'],
    says: ['exports several worker definitions: first, second', 'crank worker two.ts --export first'],
  },
  {
    args: ['two.ts', '--export', 'third'],
    says: ['does not export a worker definition "third": it exports first, second'],
  },
  { args: ['./throws.ts'], says: ['./throws.ts cannot be loaded: no database', 'at throws.ts:2:7'] },
  { args: ['./bad.ts'], says: ['./bad.ts cannot be loaded: worker "worker a": the id must match', 'at bad.ts:7'] },
  { args: ['./syntax.ts'], says: ['./syntax.ts cannot be loaded: ', 'syntax.ts:1'] },
  { args: ['./lost.ts'], says: ["cannot be loaded: Cannot find package 'no-such-package'", 'npm install'] },
  { args: ['hello'], says: ['no bundled worker "hello"', 'crank worker ./hello.ts'] },
  { args: ['hello_world', '--export', 'x'], says: ['--export is for the file of a worker'] },
])('$args is refused, with the reason and what to do', async ({ args, says }) => {
  const { code, stdout, stderr } = await crank(...args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  for (const text of says) expect(stderr).toContain(text)
})

test.each([['hello.ts'], ['./two.ts', '--export', 'second']])('%s registers and answers', async (...args) => {
  const mesh = await startMesh()
  const child = spawn(process.execPath, [CRANK, 'worker', ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], CONTROLLER_URL: mesh.origin, ...(await mesh.tlsEnv('worker/hello-world')) },
    stdio: 'ignore',
  })
  try {
    await until('the worker is live', async () => (await mesh.admin('/workers')).text.includes('worker-hello-world'))
    const call = { verb: 'invoke', capability: 'hello_world', payload: { text: 'hello' } }
    expect(await mesh.route('worker/streaming', call)).toMatchObject({ status: 200, body: { text: 'hello' } })
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
    await mesh.close()
  }
})

test('--dev makes the development certificate of its id', async () => {
  const child = spawn(
    process.execPath,
    [CRANK, 'worker', './hello.ts', '--dev', '--controller-url', 'https://127.0.0.1:9'],
    {
      cwd: folder,
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await until('the worker listens', () => out.includes('worker_listening'))
  child.kill('SIGTERM')
  await once(child, 'exit')
  const inspected = await run(process.execPath, [CRANK, 'cert', 'inspect', '.crank/pki/worker-hello-world.crt'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  })
  expect(inspected.stdout).toContain('spiffe://crank.local/worker/hello-world')
})
