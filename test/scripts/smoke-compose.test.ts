// scripts/smoke-compose.sh. No container engine can be had here: that it says so is tried as it is; how it judges is tried on a
// stand-in that answers as a sound mesh would, or as one where everything is open.
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { run, type Finished } from '../../scripts/tools/run.ts'
import { ROOT, withNats } from '../docker/compose.ts'

const SCRIPT = 'scripts/smoke-compose.sh'
const TOOLS = ['bash', 'sed', 'dirname', 'tail', 'env']

let bin: string
beforeEach(async () => {
  bin = await mkdtemp(join(tmpdir(), 'smoke-compose-'))
  for (const tool of TOOLS) await symlink(join('/usr/bin', tool), join(bin, tool))
})
afterEach(() => rm(bin, { recursive: true, force: true }))

const smoke = (args: readonly string[] = [], more: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  run('/usr/bin/bash', [SCRIPT, ...args], { cwd: ROOT, env: { PATH: bin, LOG: join(bin, 'log'), ...more } })

async function program(name: string, body: string): Promise<void> {
  await writeFile(join(bin, name), `#!/usr/bin/bash\n${body}\n`)
  await chmod(join(bin, name), 0o755)
}

/** `docker`, in which a command of a container that matches ends with 1; every other with 0. */
async function engine(refused: string, name = 'docker'): Promise<void> {
  const body = [
    'printf "%s\\n" "$*" >> "$LOG"',
    'case "$*" in',
    '  *inspect*) echo 0 ;;',
    '  *"ps --quiet"*) [ -z "$RUNNING" ] || echo container ;;',
    refused === '' ? '' : `  *exec*) [[ "$*" =~ ${refused} ]] && exit 1 ;;`,
    'esac',
    'exit 0',
  ]
  await program(name, body.join('\n'))
  await program('hostname', 'echo 10.9.8.7 172.30.90.1')
  await program('curl', '[[ "$*" == *10.9.8.7* ]] && exit 7; exit 0')
}
const SOUND = String.raw`(document_to_pdf|worker-streaming\ node\ -e.*connect|/pki/ca|/app/x)`

test('fails where no engine is found, and says what to install', async () => {
  const { code, stderr } = await smoke()
  expect(code).toBe(2)
  expect(stderr).toContain('no container engine was found (docker, podman): install Docker Engine 28 with Compose 2.33')
  expect(stderr).toContain('Nothing was tried.')
})

test('fails where the engine is installed and does not answer', async () => {
  await program('docker', 'exit 1')
  expect((await smoke()).code).toBe(2)
  expect((await smoke([], { ENGINE: 'podman' })).stderr).toContain('no container engine was found (podman)')
})

test('is what npm run smoke:compose starts', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  expect(scripts['smoke:compose']).toBe(`bash ${SCRIPT}`)
})

test('passes on a sound mesh, and stops it', async () => {
  await engine(SOUND)
  const { code, stdout, stderr } = await smoke()
  expect({ code, stderr, failed: stdout.match(/^.*FAILED.*$/gm) }).toEqual({ code: 0, stderr: '', failed: null })
  expect(stdout).toMatch(/^the admin port, at 10\.9\.8\.7 of this machine: no +ok$/m)
  expect(stdout).not.toContain('172.30.90.1')
  expect(await readFile(join(bin, 'log'), 'utf8')).toMatch(/ down\n$/)
})

test('with --nats tries the second controller, and --keep leaves it running', async () => {
  await engine(SOUND)
  const { code, stdout } = await smoke(['--nats', '--keep'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^NATS, from a worker: no +ok$/m)
  const log = await readFile(join(bin, 'log'), 'utf8')
  expect(log).toContain('--profile nats up --build')
  expect(log).not.toContain(' down')
})

test('leaves a mesh running that ran before', async () => {
  await engine(SOUND)
  await smoke([], { RUNNING: '1' })
  expect(await readFile(join(bin, 'log'), 'utf8')).not.toContain(' down')
})

test('takes podman where there is no docker', async () => {
  await engine(SOUND, 'podman')
  expect((await smoke()).code).toBe(0)
})

test('fails on a mesh where everything is open, and names what is', async () => {
  await engine('')
  const { code, stdout } = await smoke(['--nats'])
  expect(code).toBe(1)
  for (const what of [
    'a call that it denies',
    'the admin port, from a worker by address: no',
    'NATS, from a worker: no',
  ]) {
    expect(stdout).toMatch(new RegExp(`^${what} +FAILED: exit code 0, not 1$`, 'm'))
  }
})

test('fails when a call does not pass', async () => {
  await engine(String.raw`(hello_world|${SOUND.slice(1)}`)
  const { code, stdout } = await smoke()
  expect(code).toBe(1)
  expect(stdout.match(/FAILED/g)).toHaveLength(1)
})

test('refuses what it does not know', async () => {
  expect(await smoke(['--down'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('unknown argument "--down"'),
  })
})

test('names only services that are there', async () => {
  const text = await readFile(join(ROOT, SCRIPT), 'utf8')
  const named = [...text.matchAll(/\b(?:in_service|reach|owner) (?!\()([a-z][a-z0-9-]*) /g)].map(([, name]) => name)
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => !(name !== undefined && name in withNats.services))).toEqual([])
})
