// `crank worker new`, as somebody uses it who has just cloned the project: in a checkout, then on a live controller.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'
import { startMesh, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const COPIED = ['bin', 'policies', 'src', 'scripts/lab', 'package.json', 'tsconfig.json']

let checkout: string
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'crank-checkout-'))
  for (const path of [...COPIED, 'test/workers/registry.test.ts']) {
    await cp(join(REPOSITORY, path), join(checkout, path), { recursive: true })
  }
  // Without the set-up of OPA, which these tests do not need; with the repository's limits, for machines that are busy.
  const limits = 'testTimeout: 120_000, hookTimeout: 120_000'
  const config = `export default { test: { include: ['test/**/*.test.ts'], ${limits} } }\n`
  await writeFile(join(checkout, 'vitest.config.ts'), config)
  await symlink(join(REPOSITORY, 'node_modules'), join(checkout, 'node_modules'))
})
afterAll(() => rm(checkout, { recursive: true, force: true }))

type Manifest = { readonly version: string; readonly devDependencies: Readonly<Record<string, string>> }

const crank = (args: string[], { cwd = checkout } = {}) =>
  run(process.execPath, [join(checkout, 'bin/crank.js'), ...args], { cwd, env: { PATH: process.env['PATH'] } })

describe('what is refused, without a trace in the checkout', () => {
  test.each([
    ['Greeting', [], '"Greeting" is not a name for a worker: must be words of a-z'],
    ['new', [], '"new" is not a name'],
    ['../escape', [], '"../escape" is not a name'],
    ['hello_world', [], 'src/workers/hello_world.ts already exists: choose another name'],
    ['card', ['--capability', 'card'], '--capability card: "card" is not of the form verb:name'],
    ['card', ['--capability', 'Make:card'], '--capability Make:card: verb must be a lower-case word'],
  ])('%s %s', async (name, more, reason) => {
    const before = await readFile(join(checkout, 'src/workers/registry.ts'), 'utf8')
    const { code, stderr } = await crank(['worker', 'new', name, ...more])
    expect(code).toBe(2)
    expect(stderr).toContain(reason)
    expect(await readFile(join(checkout, 'src/workers/registry.ts'), 'utf8')).toBe(before)
  })

  test('a folder inside of a checkout', async () => {
    const { code, stderr } = await crank(['worker', 'new', 'card'], { cwd: join(checkout, 'src') })
    expect(code).toBe(2)
    expect(stderr).toContain(`this folder is inside a checkout: run it in its root, ${checkout}`)
  })
})

// Its packages, types and tests: test/docs/worker-typescript.test.ts.
describe('outside of a checkout', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crank-no-checkout-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('a project of its own is made, in the toolchain of this repository, and the next steps are said', async () => {
    const { code, stderr } = await crank(['worker', 'new', 'birthday_cards'], { cwd: folder })
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('npm pack -w packages/worker') })
    const project = join(folder, 'birthday-cards')
    expect((await readdir(project, { recursive: true })).sort()).toEqual(
      [
        '.gitignore',
        'README.md',
        'package.json',
        'src',
        'src/main.ts',
        'src/worker.ts',
        'test',
        'test/worker.test.ts',
      ].concat('tsconfig.json'),
    )
    const read = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as Manifest
    const root = await read(join(REPOSITORY, 'package.json'))
    expect(await read(join(project, 'package.json'))).toMatchObject({
      name: 'birthday-cards',
      dependencies: { '@crank/worker': `^${root.version}` },
      devDependencies: {
        typescript: root.devDependencies['typescript'],
        '@types/node': root.devDependencies['@types/node'],
      },
    })
    expect(await readFile(join(project, 'src/worker.ts'), 'utf8')).toContain("id: 'worker-birthday-cards'")
  })

  test('a folder of that name is left alone', async () => {
    await mkdir(join(folder, 'taken'))
    const { code, stderr } = await crank(['worker', 'new', 'taken'], { cwd: folder })
    expect({ code, stderr }).toEqual({ code: 2, stderr: '× taken already exists: choose another name\n' })
    expect(await readdir(join(folder, 'taken'))).toEqual([])
  })
})

describe('a new worker', () => {
  let mesh: Mesh
  beforeAll(async () => {
    const { code, stderr } = await crank(['worker', 'new', 'greeting_cards', '--capability', 'make:greeting_card'])
    expect(stderr).toContain('npm run crank -- worker greeting_cards --dev')
    expect(code).toBe(0)
    mesh = await startMesh({ env: { CRANK_POLICY_DIR: join(checkout, 'policies') } })
  })
  afterAll(() => mesh.close())

  test('has a test of its own that passes, and passes those that hold for every worker', async () => {
    const vitest = join(REPOSITORY, 'node_modules/vitest/vitest.mjs')
    const tests = ['test/workers/greeting_cards.test.ts', 'test/workers/registry.test.ts']
    const { code, stdout, stderr } = await run(process.execPath, [vitest, 'run', ...tests], { cwd: checkout })
    expect(stdout, stderr).toContain('greeting_cards.test.ts')
    expect(code, stdout).toBe(0)
  })

  test('agrees with its manifest', async () => {
    const { code, stderr } = await crank(['manifest', 'verify'])
    expect(code, stderr).toBe(0)
    const { workers } = JSON.parse(await readFile(join(checkout, 'policies/data/worker_manifests.json'), 'utf8'))
    expect(workers['spiffe://crank.local/worker/greeting-cards']).toMatchObject({
      worker_id: 'worker-greeting-cards',
      provided_capabilities: ['make:greeting_card'],
      owner: 'crank',
    })
  })

  test('registers with a controller, and whoever may call it gets its answer', async () => {
    const child = spawn(process.execPath, [join(checkout, 'bin/crank.js'), 'worker', 'greeting-cards'], {
      cwd: checkout,
      env: {
        PATH: process.env['PATH'],
        CONTROLLER_URL: mesh.origin,
        ...(await mesh.tlsEnv('worker/greeting-cards')),
      },
      stdio: 'ignore',
    })
    try {
      const isLive = async () => (await mesh.admin('/workers')).text.includes('worker-greeting-cards')
      await until('the worker is live', isLive)
      const call = { verb: 'make', capability: 'greeting_card', payload: { text: 'hello' } }
      expect(await mesh.route('worker/greeting-cards', call)).toMatchObject({ status: 200, body: { text: 'hello' } })
    } finally {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  })

  test('runs with a development certificate that is made for it', async () => {
    const child = spawn(process.execPath, [join(checkout, 'bin/crank.js'), 'worker', 'greeting_cards', '--dev'], {
      cwd: checkout,
      env: { PATH: process.env['PATH'], CONTROLLER_URL: 'https://127.0.0.1:9' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    await until('the worker listens', () => out.includes('worker_listening'))
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(await readFile(join(checkout, '.crank/pki/worker-greeting-cards.crt'), 'utf8')).toContain(
      'BEGIN CERTIFICATE',
    )
  })
})
