// The compiled program without its source, laid out as the stages of the Dockerfile do: what the images run.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run, type Finished } from '../../scripts/tools/run.ts'
import { workerNames } from '../../src/workers/registry.ts'
import { until } from '../fixtures/until.ts'
import type { Answers } from './call-compiled.ts'
import { CALLS } from './compiled-calls.ts'
import { ROOT } from './compose.ts'
import { argumentsOf, execForm } from './dockerfile.ts'
import { createImageMaker } from './image.ts'
import { heavyWorkers } from './lock-file.ts'

const BUILD_LIMIT_MS = 300_000
const START_LIMIT_MS = 60_000
const [shell = '', ...entry] = execForm(argumentsOf('ENTRYPOINT').at(-1) ?? '')
/** The image has one Node. */
const PATH = [dirname(process.execPath), process.env['PATH']].join(delimiter)
const HEAVY = heavyWorkers.map((path) => path.replace('src/workers/', ''))
const isHeavy = (name: string): boolean => HEAVY.includes(name)
const isLight = (name: string): boolean => !isHeavy(name)

let root: string
/** The image as it is by default, and the one with the packages of all workers. */
let app: string
let whole: string
let pki: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crank-dist-'))
  const image = createImageMaker(root)
  app = await image('light')
  whole = await image('all')
  pki = join(app, 'state/pki')
}, BUILD_LIMIT_MS)
afterAll(() => rm(root, { recursive: true, force: true }))

function crank(...args: string[]): Promise<Finished> {
  return run(shell, [...entry, ...args], {
    cwd: app,
    env: { PATH },
    timeoutMs: START_LIMIT_MS,
  })
}

describe('the compiled program', () => {
  test('is there without its source', async () => {
    expect((await readdir(app)).sort()).toEqual(['bin', 'dist', 'node_modules', 'package.json', 'policies'])
  })

  test('prints its version', async () => {
    expect(await crank('--version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  test('mints certificates, runs a controller with them, and ends in order on SIGTERM', async () => {
    expect(await crank('cert', 'dev-ca', '--state-dir', 'state')).toMatchObject({ code: 0 })
    const child = spawn(shell, [...entry, 'controller'], {
      cwd: app,
      env: {
        PATH,
        CRANK_PORT: '0',
        CRANK_ADMIN_PORT: '0',
        CRANK_LAME_DUCK_MS: '0',
        CRANK_STATE_DIR: 'state',
        CRANK_TLS_CERT: join(pki, 'controller.crt'),
        CRANK_TLS_KEY: join(pki, 'controller.key'),
        CRANK_TLS_BUNDLE: join(pki, 'crank.local.pem'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    try {
      const log: string[] = []
      createInterface(child.stdout).on('line', (line) => log.push(line))
      const ready = (): string | undefined => log.find((line) => line.includes('"controller_ready"'))
      await until('the controller listens', () => ready() !== undefined, START_LIMIT_MS)
      const { admin_port: port, engine } = JSON.parse(ready() ?? '') as { admin_port: number; engine: string }
      const isReady = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
      await until('the controller is ready', isReady, START_LIMIT_MS)
      expect(engine).toBe('opa-wasm')
      // The shell has become the process.
      expect(await readFile(`/proc/${String(child.pid)}/comm`, 'utf8')).not.toBe('sh\n')
      expect(await readFile(`/proc/${String(child.pid)}/limits`, 'utf8')).toMatch(/^Max core file size +0 +0 /m)
    } finally {
      child.kill('SIGTERM')
    }
    expect(await exited).toEqual([0, null])
  })

  test('has the workers inside', async () => {
    const { code, stderr } = await crank('worker', 'streaming')
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('CRANK_TLS_CERT is not set') })
  })
})

describe('what lies beside the code of the workers', () => {
  test('is there too: data is imported, `with { type: "json" }`, and so compiled along', async () => {
    const files = await readdir(join(ROOT, 'src/workers'), { recursive: true, withFileTypes: true })
    const data = files
      .filter((file) => file.isFile() && !/\.ts$|^package\.json$/.test(file.name))
      .map(({ parentPath, name }) => join(parentPath, name).replace(join(ROOT, 'src/'), ''))
    expect(data).toContain('workers/email_classifier/spam-model.json')
    const compiled = await readdir(join(app, 'dist'), { recursive: true })
    expect(data.filter((path) => !compiled.includes(path))).toEqual([])
  })
})

describe('every worker', () => {
  const answers: Answers = {}
  beforeAll(async () => {
    for (const [folder, isHere] of [[app, isLight] as const, [whole, isHeavy] as const]) {
      const calls = JSON.stringify(Object.fromEntries(Object.entries(CALLS).filter(([name]) => isHere(name))))
      const args = [join(import.meta.dirname, 'call-compiled.ts'), folder, join(root, 'kept'), calls]
      const { code, stdout, stderr } = await run(process.execPath, args, { timeoutMs: START_LIMIT_MS })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      Object.assign(answers, JSON.parse(stdout))
    }
  })

  test('is called', () => {
    expect(Object.keys(CALLS).sort()).toEqual([...workerNames].sort())
  })

  for (const [name, { answer }] of Object.entries(CALLS)) {
    test(`${name} answers, in the ${isHeavy(name) ? 'image with all packages' : 'image as it is by default'}`, () => {
      expect(answers[name]).toEqual({ status: 200, text: expect.stringContaining(answer) })
    })
  }

  for (const name of HEAVY) {
    test(`${name} does not start without its packages; it is said how to get them`, async () => {
      const { code, stderr } = await crank('worker', name, '--dev', '--state-dir', 'state')
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--build-arg WORKERS=all') })
      expect(stderr).toContain('Cannot find package')
    })
  }
})
