// The systemd units: valid, hardened, and true to the product. systemd-analyze needs no running systemd.
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { run } from '../../scripts/tools/run.ts'
import { ControllerEnv, loadControllerConfig } from '../../src/controller/config.ts'
import { loadWorkerConfig, WorkerSettings } from '../../src/worker/config.ts'
import { systemdTool } from '../fixtures/systemd.ts'

const ROOT = join(import.meta.dirname, '../..')
const UNITS = join(ROOT, 'deploy/systemd')
const IDENTITY = { CRANK_TLS_CERT: 'a', CRANK_TLS_KEY: 'b', CRANK_TLS_BUNDLE: 'c' }
/** In tenths: 2.0. */
const MAX_EXPOSURE = '20'
const analyze = await systemdTool('systemd-analyze')
const units = (await readdir(UNITS)).filter((name) => /\.(?:service|path)$/.test(name))
const services = units.filter((name) => name.endsWith('.service'))

/** The files of README.md, by their path. */
const readmeFiles = [
  ...(await readFile(join(UNITS, 'README.md'), 'utf8')).matchAll(
    /^```ini\n# (\/etc\/[^\s,]+)[^\n]*\n([\s\S]*?)^```$/gm,
  ),
].map(([, path = '', text = '']) => ({ path, text }))
const SYSTEM = '/etc/systemd/system/'

const read = (unit: string): Promise<string> => readFile(join(UNITS, unit), 'utf8')

/** The values of a setting, continued lines joined. */
async function valuesOf(unit: string, name: string): Promise<string[]> {
  const lines = (await read(unit)).replaceAll(/\\\n\s*/g, '').split('\n')
  return lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1))
}

async function settingsOf(unit: string): Promise<string[]> {
  const values = await valuesOf(unit, 'Environment')
  return values.flatMap((value) => value.split(' ')).map((assignment) => assignment.split('=')[0] ?? '')
}

describe.skipIf(analyze === undefined)('systemd-analyze', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'crank-units-'))
    // Programs that this machine need not have.
    await mkdir(join(dir, 'bin'))
    for (const name of ['node', 'opa', 'nats-server']) {
      await writeFile(join(dir, 'bin', name), '#!/bin/sh\n')
      await chmod(join(dir, 'bin', name), 0o755)
    }
    await cp(UNITS, dir, { recursive: true })
    for (const unit of services) {
      const text = (await read(unit)).replace(/^(ExecStart=)\/usr\/(?:local\/)?bin\/(node|opa)/m, `$1${dir}/bin/$2`)
      await writeFile(join(dir, unit), text)
    }
    for (const { path, text } of readmeFiles.filter((file) => file.path.startsWith(SYSTEM))) {
      const to = join(dir, path.slice(SYSTEM.length))
      await mkdir(dirname(to), { recursive: true })
      await writeFile(to, text.replace(/^(ExecStart=)\/usr\/(?:local\/)?bin\/(node|nats-server)/m, `$1${dir}/bin/$2`))
    }
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  test.each([...units, 'nats.service'])('verify finds nothing in %s, with the drop-ins of README.md', async (unit) => {
    const { code, stdout, stderr } = await run(analyze!, ['verify', '--man=no', join(dir, unit)])
    const ours = `${stdout}${stderr}`.split('\n').filter((line) => /crank|nats/.test(line))
    expect({ code, ours }).toEqual({ code: 0, ours: [] })
  })

  test.each(services)('security: %s is exposed to 2.0 at most', async (unit) => {
    const args = ['security', '--offline=true', '--no-pager', `--threshold=${MAX_EXPOSURE}`, join(UNITS, unit)]
    const { code, stdout, stderr } = await run(analyze!, args)
    expect({ code, stdout: `${stdout.split('\n').at(-2)}${stderr}` }).toMatchObject({ code: 0 })
  })
})

describe('the units', () => {
  test.each([
    ['crank-controller.service', Object.keys(ControllerEnv.properties)],
    ['crank-worker@.service', Object.keys(WorkerSettings.properties)],
  ] as const)('%s sets only what its program reads', async (unit, known) => {
    const own = (await settingsOf(unit)).filter((name) => name !== 'NODE_ENV')
    expect(own.length).toBeGreaterThan(3)
    expect(own.filter((name) => !known.includes(name))).toEqual([])
  })

  test('start with the identity of an agent and as a mesh, as README.md says', () => {
    const settingsIn = (path: string): NodeJS.ProcessEnv[] =>
      readmeFiles.filter((file) => file.path === path).map(({ text }) => parseEnv(text))
    const [agent, mesh] = settingsIn('/etc/crank/controller.env')
    expect(loadControllerConfig({ env: IDENTITY }).identity.from).toBe('files')
    expect(loadControllerConfig({ env: { ...IDENTITY, ...agent } }).identity.from).toBe('workload_api')
    expect(loadControllerConfig({ env: { ...IDENTITY, ...mesh } }).nats?.servers).toHaveLength(3)
    const [worker] = settingsIn('/etc/crank/workers/hello_world.env')
    expect(loadWorkerConfig({ env: { ...IDENTITY, ...worker } }).controllerUrls).toHaveLength(3)
  })

  test('give a process the time that it takes to end: docs/operations/process.md', async () => {
    expect(await valuesOf('crank-controller.service', 'TimeoutStopSec')).toEqual(['30s'])
    const { lameDuckMs, drainTimeoutMs: drainMs } = loadControllerConfig({ env: IDENTITY })
    expect(30_000).toBeGreaterThan(lameDuckMs + drainMs + 7000 + 3000)
  })

  test('give OPA the files, and the closed API, of the compose file', async () => {
    const compose = parse(await readFile(join(ROOT, 'docker-compose.policy.yml'), 'utf8')) as {
      services: { opa: { command: string[] } }
    }
    const [command = ''] = await valuesOf('crank-opa.service', 'ExecStart')
    const words = command.split(/\s+/).slice(1)
    const isFile = (word: string): boolean => word.includes('/policies/')
    const files = words.filter(isFile).map((word) => word.replace('/etc/crank/policies/', '/policies/'))
    expect(files).toEqual(compose.services.opa.command.filter(isFile))
    expect(words).toContain('--authorization=basic')
    expect(words.filter((word) => word.startsWith('--addr'))).toEqual(['--addr=unix:///run/crank-opa/opa.sock'])
  })

  test('need a user for each User= that is not made when the unit starts', async () => {
    const users = await readFile(join(UNITS, 'crank.sysusers'), 'utf8')
    for (const unit of services) {
      if ((await valuesOf(unit, 'DynamicUser')).length > 0) continue
      for (const user of await valuesOf(unit, 'User')) expect(users).toMatch(new RegExp(`^u ${user} `, 'm'))
    }
  })
})
