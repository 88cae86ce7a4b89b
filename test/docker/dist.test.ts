// The compiled program without its source, laid out as the last stage of the Dockerfile does: what the image runs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run, type Finished } from '../../scripts/tools/run.ts'
import { until } from '../fixtures/until.ts'
import { ROOT } from './compose.ts'
import { argumentsOf, copiesIn, execForm, finalStage } from './dockerfile.ts'

const BUILD_LIMIT_MS = 300_000
// Types are checked by `npm run types`: here only what comes out counts.
const EMIT_ONLY = ['--declaration', 'false', '--noCheck']
const START_LIMIT_MS = 60_000
const entrypoint = execForm(argumentsOf('ENTRYPOINT').at(-1) ?? '')

let app: string
let pki: string

beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), 'crank-dist-'))
  pki = join(app, 'state/pki')
  const local = copiesIn(finalStage()).filter(({ from }) => from === undefined)
  for (const source of local.flatMap(({ sources }) => sources)) {
    await cp(join(ROOT, source), join(app, source), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(app, 'node_modules'))
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const args = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(app, 'dist'), ...EMIT_ONLY]
  const { code, stdout } = await run(process.execPath, [tsc, ...args])
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
}, BUILD_LIMIT_MS)
afterAll(() => rm(app, { recursive: true, force: true }))

function crank(...args: string[]): Promise<Finished> {
  const [, launcher = ''] = entrypoint
  return run(process.execPath, [launcher, ...args], { cwd: app, env: { PATH: process.env['PATH'] } })
}

describe('the compiled program', () => {
  test('is there without its source', async () => {
    expect((await readdir(app)).sort()).toEqual(['bin', 'dist', 'node_modules', 'package.json', 'policies'])
  })

  test('tells its version', async () => {
    expect(await crank('--version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  test('mints certificates, runs a controller with them, and ends in order on SIGTERM', async () => {
    expect(await crank('cert', 'dev-ca', '--state-dir', 'state')).toMatchObject({ code: 0 })
    const child = spawn(process.execPath, [entrypoint[1] ?? '', 'controller'], {
      cwd: app,
      env: {
        PATH: process.env['PATH'],
        CRANK_PORT: '0',
        CRANK_ADMIN_PORT: '0',
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
