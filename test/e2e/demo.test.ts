// `npm run demo` end to end, as scripts/bootstrap.js starts it; what .ci/run relies on.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { opaArguments } from '../../scripts/demo/opa.ts'
import { createProcesses } from '../../scripts/demo/processes.ts'
import { lockAuditFile } from '../../src/controller/audit/lock.ts'
import { planJaeger } from '../../scripts/tools/jaeger-plan.ts'
import { isAlive } from '../fixtures/is-alive.ts'
import { observabilityFile, variablesOf } from '../fixtures/stack/config-variables.ts'
import { until } from '../fixtures/until.ts'

const ROOT = join(import.meta.dirname, '../..')
const LIMIT_MS = 90_000

function start(args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, ['scripts/demo.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = start(args, env)
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { code: child.exitCode, stdout, stderr }
}

/** The demo, up and with its calls made. */
async function startAndWait(env: NodeJS.ProcessEnv = {}) {
  const child = start(['--port', '0'], env)
  const seen = { out: '', err: '' }
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (seen.out += chunk))
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (seen.err += chunk))
  const closed = once(child, 'close')
  await until('the demo is up', () => child.exitCode !== null || seen.out.includes('Ctrl-C stops'), LIMIT_MS)
  return { child, seen, closed, processes: descendants(child.pid!) }
}

type Process = { readonly pid: number; readonly command: string }

function descendants(pid: number): Process[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  const all = rows.map((row) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row) ?? [])
  const below = (parent: number): Process[] =>
    all
      .filter(([, , ppid]) => Number(ppid) === parent)
      .flatMap(([, id, , command = '']) => [{ pid: Number(id), command }, ...below(Number(id))])
  return below(pid)
}

const areGone = (processes: readonly Process[]) => processes.every(({ pid }) => !isAlive(pid))

const stateDirOf = (out: string) => join(ROOT, /Logs are in (\S+)\/logs/.exec(out)?.[1] ?? 'missing')

describe('npm run demo -- --once --json --port 0', () => {
  test.each([
    { flags: [], engine: 'opa-wasm' },
    { flags: ['--opa'], engine: 'opa-http' },
  ])(
    'prints one JSON object: one call allowed, one denied, one streamed, all recorded and counted ($engine)',
    async ({ flags, engine }) => {
      const { code, stdout, stderr } = await run(['--once', '--json', '--port', '0', ...flags])
      expect({ code, stderr }).toMatchObject({ code: 0 })
      const id = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
      const trace = expect.stringMatching(/^[0-9a-f]{32}$/)
      expect(JSON.parse(stdout)).toEqual({
        allowed: {
          status: 200,
          body: expect.objectContaining({ greeting: 'Hello, mesh!' }),
          decision_id: id,
          trace_id: trace,
        },
        denied: {
          status: 403,
          body: expect.objectContaining({
            error: 'capability_access_denied',
            reason: expect.stringContaining('not authorized'),
          }),
          decision_id: id,
          trace_id: trace,
        },
        streamed: { status: 200, events: 4, first_event_ms: expect.any(Number), decision_id: id, trace_id: trace },
        audit: { file: expect.stringMatching(/audit\/0$/), records: expect.any(Number), verified: true },
        metrics: { allow: 2, deny: 1 },
        engine,
      })
    },
    LIMIT_MS,
  )
})

describe('npm run demo', () => {
  test(
    'shows the calls and the commands to go on with, and a signal drains everything and exits 0',
    async () => {
      const { child, seen, closed, processes } = await startAndWait({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      })
      expect(processes.filter(({ command }) => command.includes('crank.js'))).not.toEqual([])
      for (const part of ['Hello, mesh!', 'not authorized', 'event 4', 'hash chain intact', 'curl --cacert', '403']) {
        expect(seen.out).toContain(part)
      }
      // The mesh exports its spans: the command, whose span is the root of its trace, does so too.
      expect(seen.out).toMatch(
        /^ +OTEL_EXPORTER_OTLP_ENDPOINT=http:\/\/127\.0\.0\.1:1 npm run crank -- invoke convert document_to_pdf --as streaming --controller-url https:/m,
      )
      expect(seen.out).toContain('npm run crank -- audit tail -f --deny')
      child.kill('SIGINT')
      await closed
      expect(child.exitCode).toBe(0)
      await until('all processes are gone', () => areGone(processes))
      expect(existsSync(stateDirOf(seen.out))).toBe(false)
    },
    LIMIT_MS,
  )

  test(
    'takes its processes with it when it is killed without warning',
    async () => {
      const { child, seen, closed, processes } = await startAndWait()
      child.kill('SIGKILL')
      await closed
      await until('all processes are gone', () => areGone(processes))
      execFileSync('rm', ['-r', stateDirOf(seen.out)])
    },
    LIMIT_MS,
  )

  test(
    'says which process died, shows the end of its log, and stops the others',
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'crank-demo-'))
      const { child, seen, closed, processes } = await startAndWait({ CRANK_STATE_DIR: dir })
      const victim = processes.find(({ command }) => command.endsWith('crank.js worker streaming'))!
      process.kill(victim.pid, 'SIGKILL')
      await closed
      expect(child.exitCode).toBe(1)
      expect(seen.err).toContain('worker-streaming ended unexpectedly (SIGKILL)')
      expect(seen.err).toContain('info  worker is ready')
      expect(seen.err).not.toContain('"event"')
      await until('all processes are gone', () => areGone(processes))
      const named = /The end of (\S+):/.exec(seen.err)?.[1] ?? 'missing'
      expect(readFileSync(join(ROOT, named), 'utf8')).toContain('"event":"worker_ready"')
      expect(readdirSync(join(ROOT, named, '../..'))).toEqual(['logs'])
      await rm(dir, { recursive: true })
    },
    LIMIT_MS,
  )

  test(
    'says where the traces are, and does its work while nobody takes them',
    async () => {
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }
      const { code, stdout } = await run(['--once', '--port', '0'], env)
      expect(code).toBe(0)
      expect(stdout).toContain('Traces went to http://127.0.0.1:1')
    },
    LIMIT_MS,
  )

  test('in a folder where another demo runs touches nothing, and says so in a sentence', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'crank-demo-'))
    const { free: unlock } = lockAuditFile(join(dir, 'demo'))
    await mkdir(join(dir, 'logs'))
    await writeFile(join(dir, 'logs/controller.log'), 'of the first one\n')
    const before = readdirSync(dir)
    const { code, stdout, stderr } = await run(['--once'], { CRANK_STATE_DIR: dir })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^Another demo runs here, with the state folder .*: stop it, .*npm run demo -- --port 0\n$/)
    expect(readFileSync(join(dir, 'logs/controller.log'), 'utf8')).toBe('of the first one\n')
    expect(readdirSync(dir)).toEqual(before)
    unlock()
    await rm(dir, { recursive: true })
  })

  test('names a port that is taken, and the way out', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const { code, stdout, stderr } = await run(['--once', '--port', String(port)])
    server.close()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^Port ${port} is in use, .*npm run demo -- --port 0\\n$`))
  })

  test('with --trace and no Jaeger says how to get one, and starts nothing', async () => {
    const { code, stdout, stderr } = await run(['--trace', '--once', '--port', '0'], { JAEGER_BIN: '/nowhere' })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^--trace: JAEGER_BIN=\/nowhere is not an executable file: install Go .* set JAEGER_BIN .*\n$/,
    )
  })

  test('answers an unknown option with 2 and what there is', async () => {
    const { code, stderr } = await run(['--jsno'])
    expect(code).toBe(2)
    expect(stderr).toContain('[--once] [--json] [--opa] [--trace] [--all] [--port <n>]')
  })
})

test('Jaeger is started with its file, and with every variable that stands in it', async () => {
  const { args, env, queryUrl } = await planJaeger({ dir: '/d', tempo: '127.0.0.1:1', queryPort: 16686 })
  expect(args).toEqual(['--config', observabilityFile('jaeger.yaml')])
  await expect(variablesOf(observabilityFile('jaeger.yaml'), env)).resolves.toBe(env)
  expect(env.JAEGER_BADGER_DIR).toBe('/d')
  expect(env.JAEGER_UI_CONFIG).toBe(observabilityFile('jaeger-ui.json'))
  expect(queryUrl).toBe('http://127.0.0.1:16686')
})

test('the sidecar of the demo gets the arguments of the compose file, with folders and addresses of this machine', () => {
  const compose = readFileSync(join(ROOT, 'docker-compose.policy.yml'), 'utf8')
  const args = opaArguments(compose, { policyDir: '/p', url: 'unix:///s', diagnosticUrl: 'unix:///d' })
  expect(args.slice(0, 2)).toEqual(['run', '--server'])
  expect(args).toContain('--addr=unix:///s')
  expect(args).toContain('--authorization=basic')
  expect(args).toContain('/p/capability_access.rego')
  expect(args).toContain('exceptions:/p/data/exceptions.json')
  expect(args.join(' ')).not.toMatch(/\/policies|0\.0\.0\.0/)
})

test('a log is appended to, and what is said of a process that died is its own output, not in JSON', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crank-demo-'))
  const run = (line: string): Promise<never> => {
    const processes = createProcesses(dir)
    processes.start({ name: 'one', file: '/bin/echo', args: [line] })
    return processes.broken
  }
  await expect(run('first')).rejects.toThrow(/one ended unexpectedly \(exit code 0\)[^]*\n {2}first$/)
  const json = JSON.stringify({
    level: 'fatal',
    time: 'T',
    event: 'e',
    err: { message: 'no room' },
    msg: 'cannot start',
  })
  await expect(run(json)).rejects.toThrow(/:\n {2}T {2}fatal {2}cannot start: no room$/)
  expect(readFileSync(join(dir, 'one.log'), 'utf8')).toBe(`first\n${json}\n`)
  await rm(dir, { recursive: true })
})
