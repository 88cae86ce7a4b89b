// The doors of the process: signals, the debugger, the modes of its files. Real processes, started as a user starts them.
import { readdir, readFile, readlink } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ENDING_SIGNALS, IGNORED_SIGNALS } from '../../src/platform/process-guard.ts'
import { greets, startFakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines, slotOf } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  parties = await createParties()
  env = { ...(await parties.tlsEnv('controller')), CRANK_HEARTBEAT_INTERVAL_MS: '60000' }
})
afterAll(() => parties.close())

const start = (name: string): Promise<ControllerProcess> =>
  startControllerProcess({ ...env, CRANK_STATE_DIR: `${parties.dir}/${name}` })
const lastRecord = async (name: string) => (await readAuditLines(slotOf(`${parties.dir}/${name}`, 0))).at(-1)
const isReady = async ({ adminOrigin }: ControllerProcess): Promise<boolean> =>
  (await fetch(`${adminOrigin}/readyz`)).status === 200

/** Listening TCP sockets of a process, by inode. */
async function listeners(pid: number): Promise<number> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')))
  const links = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
  )
  const LISTENING = '0A'
  const inodes = tables.flatMap((table) =>
    table
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((cells) => cells[3] === LISTENING)
      .map((cells) => cells[9]),
  )
  return links.filter((link) => inodes.some((inode) => link === `socket:[${String(inode)}]`)).length
}

describe('a controller', () => {
  test('stays as it is, debugger closed, at every signal that means nothing to it', async () => {
    const controller = await start('ignored')
    let stderr = ''
    controller.child.stderr!.on('data', (chunk: string) => (stderr += chunk))
    for (const signal of IGNORED_SIGNALS) {
      controller.child.kill(signal)
      expect(await isReady(controller)).toBe(true)
    }
    expect(await listeners(controller.pid)).toBe(2)
    expect(stderr).toBe('')
    const status = await readFile(`/proc/${controller.pid}/status`, 'utf8')
    expect(status).toMatch(/^Umask:\s+0077$/m)
    expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  for (const signal of ENDING_SIGNALS.filter((name) => name !== 'SIGTERM')) {
    test(`drains and records its end at ${signal}`, async () => {
      const controller = await start(signal)
      expect(await controller.stop(signal)).toEqual({ code: 0, signal: null })
      expect(await lastRecord(signal)).toMatchObject({ event: 'controller_stopped', reason: 'stopped' })
    })
  }

  test('goes on draining at a second signal: a call in flight is answered and recorded', async () => {
    const controller = await start('twice')
    const held: (() => void)[] = []
    const client = { ...parties, request: parties.request.bind(undefined, controller.origin) }
    const worker = await startFakeWorker(client, (...call) => void held.push(() => greets(...call)))
    expect((await worker.register()).status).toBe(200)
    const call = parties.request(
      controller.origin,
      STREAMING,
      postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: {} }),
    )
    await until('the worker has the call', () => held.length === 1)
    const stopped = controller.stop('SIGTERM')
    await until('it drains', () => controller.log.some(({ event }) => event === 'controller_draining'))
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) controller.child.kill(signal)
    expect((await fetch(`${controller.adminOrigin}/livez`)).status).toBe(200)
    held[0]!()
    expect((await call).status).toBe(200)
    expect(await stopped).toEqual({ code: 0, signal: null })
    const lines = await readAuditLines(slotOf(`${parties.dir}/twice`, 0))
    expect(lines.filter(({ event }) => event === 'route_outcome')).toMatchObject([
      { outcome: 'completed', status: 200 },
    ])
    expect(lines.at(-1)).toMatchObject({ event: 'controller_stopped' })
    await worker.close()
  })
})
