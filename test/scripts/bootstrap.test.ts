// The bootstrap on a small project of its own: the real scripts, a stand-in for npm, no network.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fitNode, isNodeFit, projectNode } from '../../bin/node-24.js'
import { areDependenciesCurrent, planFor, stampDependencies } from '../../scripts/bootstrap.js'
import { packagesToInstall, showProgress } from '../../scripts/install-progress.js'
import { until } from '../fixtures/until.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
/** Notes how it was called; makes node_modules, or fails where the lock file says so, or waits until it may go on. */
const FAKE_NPM = `
  const { appendFileSync, existsSync, mkdirSync, readFileSync } = require('node:fs')
  const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n')
  console.log('npm talks on stdout')
  const lock = readFileSync('package-lock.json', 'utf8')
  if (lock === 'broken') process.exit(1)
  if (lock === 'waits') while (!existsSync('go-on') && existsSync('npm-calls')) sleep(20)
  if (lock === 'hangs') sleep(10_000)
  mkdirSync('node_modules', { recursive: true })`
/** Beside SIGTERM, SIGINT (keys of a terminal) and SIGUSR1, which the program is started deaf to. */
const PASSED_ON = ['SIGHUP', 'SIGQUIT', 'SIGABRT', 'SIGUSR2', 'SIGALRM', 'SIGXCPU', 'SIGPWR', 'SIGIO'] as const
const FAKE_DEMO = `
  const { readFileSync } = await import('node:fs')
  process.on('SIGTERM', () => { console.log('drained'); process.exit(7) })
  for (const signal of ${JSON.stringify(PASSED_ON)}) process.on(signal, () => console.log('got ' + signal))
  if (process.argv[2] === 'limits') console.log(process.execArgv.join(), readFileSync('/proc/self/limits', 'utf8'))
  console.log(JSON.stringify(process.argv.slice(2)))
  if (process.argv[2] === 'wait') setInterval(() => {}, 1000)
  else process.exitCode = 5`

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'crank-bootstrap-'))
  await mkdir(join(root, 'scripts'))
  await cp(join(REPOSITORY, 'bin'), join(root, 'bin'), { recursive: true })
  for (const name of ['bootstrap.js', 'install-progress.js', 'process-lock.js']) {
    await cp(join(REPOSITORY, 'scripts', name), join(root, 'scripts', name))
  }
  await writeFile(join(root, 'package.json'), '{"type":"module"}')
  await writeFile(join(root, 'package-lock.json'), 'one')
  await writeFile(join(root, 'npm.cjs'), FAKE_NPM)
  await writeFile(join(root, 'npm-cli.js'), "import './npm.cjs'")
  await writeFile(join(root, 'scripts/demo.ts'), FAKE_DEMO)
})
afterEach(() => rm(root, { recursive: true, force: true }))

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, ['scripts/bootstrap.js', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'], npm_execpath: join(root, 'npm-cli.js') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function run(...args: string[]) {
  const child = start(...args)
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { code: child.exitCode, stdout, stderr }
}

const npmCalls = async () => (await readFile(join(root, 'npm-calls'), 'utf8')).trim().split('\n')

describe('dependencies', () => {
  test('are missing without node_modules', () => {
    expect(areDependenciesCurrent(root)).toBe(false)
  })

  test('are current while the stamp holds the hash of the lock file', async () => {
    await mkdir(join(root, 'node_modules'))
    stampDependencies(root)
    expect(areDependenciesCurrent(root)).toBe(true)
    await writeFile(join(root, 'package-lock.json'), 'two')
    expect(areDependenciesCurrent(root)).toBe(false)
  })

  test('that npm ci brought in by hand count until the lock file is newer', async () => {
    await mkdir(join(root, 'node_modules'))
    await writeFile(join(root, 'node_modules/.package-lock.json'), '{}')
    await utimes(join(root, 'package-lock.json'), 1000, 1000)
    expect(areDependenciesCurrent(root)).toBe(true)
    await utimes(join(root, 'node_modules/.package-lock.json'), 999, 999)
    expect(areDependenciesCurrent(root)).toBe(false)
  })

  test('are installed once, and again when the lock file has changed', async () => {
    await run('demo')
    await run('demo')
    expect(await npmCalls()).toHaveLength(1)
    await writeFile(join(root, 'package-lock.json'), 'two')
    await run('demo')
    expect(await npmCalls()).toEqual(Array(2).fill('ci --loglevel=error --ignore-scripts --no-audit --no-fund'))
  })

  test('are installed once when two start at the same time; the second one waits and says so', async () => {
    await writeFile(join(root, 'package-lock.json'), 'waits')
    const both = [start('demo'), start('demo')]
    let said = ''
    for (const { stderr } of both) stderr!.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    await until('one says that it waits', () => said.includes('Waiting for another set-up in this folder'))
    await writeFile(join(root, 'go-on'), '')
    await Promise.all(both.map((child) => once(child, 'close')))
    expect(await npmCalls()).toHaveLength(1)
    expect(both.map(({ exitCode }) => exitCode)).toEqual([5, 5])
  })

  test('are installed by the next one when a set-up was killed', async () => {
    await writeFile(join(root, 'package-lock.json'), 'hangs')
    const child = start('demo')
    await until('npm runs', () => existsSync(join(root, 'npm-calls')))
    child.kill('SIGKILL')
    await once(child, 'close')
    await writeFile(join(root, 'package-lock.json'), 'one')
    expect((await run('demo')).code).toBe(5)
  })

  test('are counted before they are installed', async () => {
    const packages = {
      '': {},
      'node_modules/a': {},
      'node_modules/a/node_modules/b': {},
      'node_modules/c': { link: true },
    }
    await writeFile(join(root, 'package-lock.json'), JSON.stringify({ packages }))
    const { stderr } = await run('demo')
    expect(stderr).toContain('Installing the dependencies (npm ci): 2 packages, about 1 GB on disk, a few minutes …\n')
    expect(stderr).not.toContain('\u001b')
  })

  test('show on a terminal how many of them are there', async () => {
    await mkdir(join(root, 'node_modules/a'), { recursive: true })
    await writeFile(join(root, 'node_modules/a/package.json'), '{}')
    let shown = ''
    const terminal = { isTTY: true as const, write: (text: string) => (shown += text) !== '' }
    showProgress(root, ['node_modules/a', 'node_modules/b'], terminal)()
    expect(shown).toBe('\r\u001b[K  1 of 2 packages\r\u001b[K')
    expect(packagesToInstall(REPOSITORY).length).toBeGreaterThan(100)
  })

  test('that cannot be installed end in a sentence with the way out, and are tried again', async () => {
    await writeFile(join(root, 'package-lock.json'), 'broken')
    const { code, stdout, stderr } = await run('demo')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('npm ci failed')
    expect(stderr).toContain('Without a network, copy node_modules/')
    await run('demo')
    expect(await npmCalls()).toHaveLength(2)
  })
})

describe('the program', () => {
  test('gets its arguments, has stdout to itself, and its exit code is passed on', async () => {
    const { code, stdout, stderr } = await run('demo', '--once', '--json')
    expect({ code, stdout }).toEqual({ code: 5, stdout: '["--once","--json"]\n' })
    expect(stderr).toContain('Installing the dependencies')
  })

  test('gets the signals, and the bootstrap waits for it', async () => {
    const child = start('demo', 'wait')
    let out = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    await until('the program runs', () => out.includes('wait'))
    child.kill('SIGTERM')
    await once(child, 'close')
    expect(child.exitCode).toBe(7)
    expect(out).toContain('drained')
  })

  test('gets every other signal too, and the bootstrap outlives it', async () => {
    const child = start('demo', 'wait')
    let out = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    await until('the program runs', () => out.includes('wait'))
    child.kill('SIGUSR1')
    for (const signal of PASSED_ON) {
      child.kill(signal)
      await until(`${signal} arrives`, () => out.includes(`got ${signal}`))
    }
    child.kill('SIGTERM')
    await once(child, 'close')
    expect(child.exitCode).toBe(7)
  })

  test('ends in order when the bootstrap is killed without warning', async () => {
    const child = start('demo', 'wait')
    let out = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    await until('the program runs', () => out.includes('wait'))
    child.kill('SIGKILL')
    // Nobody holds the pipe any more: not the program, nor what watched over it.
    await once(child, 'close')
    expect(out).toContain('drained')
  })

  test('leaves no core dump, which could hold keys, and opens no debugger', async () => {
    const { stdout } = await run('demo', 'limits')
    expect(stdout).toMatch(/^Max core file size +0 +0 /m)
    expect(stdout).toContain('--disable-sigusr1')
  })

  test('is stopped when npm, which started us, is killed without warning', async () => {
    const npm = spawn('/bin/sh', ['-c', '"$0" scripts/bootstrap.js demo wait; true', process.execPath], {
      cwd: root,
      env: { PATH: process.env['PATH'], npm_execpath: join(root, 'npm-cli.js'), npm_lifecycle_event: 'demo' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let out = ''
    npm.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    await until('the program runs', () => out.includes('wait'))
    npm.kill('SIGKILL')
    await once(npm, 'close')
    expect(out).toContain('drained')
  })

  test('that does not exist is answered with what there is', async () => {
    const { code, stderr } = await run('demos')
    expect(code).toBe(2)
    expect(stderr).toContain('setup|test|test:stack|test:faults|test:fleet|demo|bench|release|crank')
  })

  test('is the script of that name; test and setup also see to the native tools', () => {
    expect(planFor('demo', ['--once'])).toEqual({ tools: [], run: ['scripts/demo.ts', '--once'] })
    expect(planFor('bench', [])?.run).toEqual(['scripts/bench.ts'])
    expect(planFor('crank', ['check'])?.run).toEqual(['bin/crank.js', 'check'])
    expect(planFor('setup', [])).toEqual({ tools: ['opa', 'regal'], run: undefined })
    expect(planFor('test', ['test/core'])).toMatchObject({ tools: ['opa', 'regal', 'kustomize', 'nats-server'] })
    expect(planFor('test:faults', ['--list'])).toEqual({ tools: ['opa'], run: ['test/faults/run.ts', '--list'] })
    expect(planFor('test:stack', [])).toMatchObject({
      tools: ['opa', 'jaeger', 'prometheus', 'promtool'],
    })
    expect(planFor('test', ['test/core'])?.npm).toEqual(['run', 'check', '--loglevel=notice', '--', 'test/core'])
  })
})

describe('the Node to go on with', () => {
  test.each([
    ['20.20.2', false],
    ['24.10.0', false],
    ['24.11.0', true],
    ['24.21.0', true],
    ['26.0.0', true],
  ])('%s fits: %s', (version, fits) => {
    expect(isNodeFit(version)).toBe(fits)
  })

  test('is the running one where it fits', () => {
    expect(fitNode(join(root, 'package.json'))).toBe(process.execPath)
  })

  test('is else the one that came with the dependencies', async () => {
    const manifest = join(root, `node_modules/node-${process.platform}-${process.arch}/package.json`)
    const binary = join(manifest, '../bin/node')
    await mkdir(join(binary, '..'), { recursive: true })
    await writeFile(manifest, '{"version":"24.21.0"}')
    expect(projectNode(join(root, 'package.json'))).toBeUndefined()
    await writeFile(binary, '')
    expect(projectNode(join(root, 'package.json'))).toBe(binary)
    await writeFile(manifest, '{"version":"24.10.0"}')
    expect(projectNode(join(root, 'package.json'))).toBeUndefined()
  })
})
