// What systemd hears of a controller and of a worker: real processes, the real systemd-notify, a real datagram socket.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { openNotifySocket, type NotifySocket } from '../fixtures/notify-socket.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { systemdTool } from '../fixtures/systemd.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess } from '../fixtures/worker-process.ts'

vi.setConfig({ testTimeout: 60_000 })

const systemdNotify = await systemdTool('systemd-notify')
const WATCHDOG_USEC = '200000'

const started: ControllerProcess[] = []
let parties: Parties
beforeAll(async () => {
  parties = await createParties()
})
afterAll(() => parties.close())
afterEach(() => {
  // One that a failed test left.
  for (const { child } of started.splice(0)) child.kill('SIGKILL')
})

async function start(env: NodeJS.ProcessEnv): Promise<ControllerProcess> {
  const own = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
  const controller = await startControllerProcess({ ...own, ...env })
  started.push(controller)
  return controller
}

describe.skipIf(systemdNotify === undefined)('a service manager', () => {
  let socket: NotifySocket
  beforeEach(async () => {
    socket = await openNotifySocket()
    return () => socket[Symbol.asyncDispose]()
  })
  const heard = (note: string): boolean => socket.notes.includes(note)
  const pings = (): number => socket.notes.filter((note) => note === 'WATCHDOG=1').length

  for (const processes of ['1', '2']) {
    test(`hears when a controller of ${processes} is ready, that it is alive, and that it stops`, async () => {
      const settings = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC, CRANK_PROCESSES: processes }
      const controller = await start(settings)
      const { port } = new URL(controller.origin)
      await until('it is alive', () => pings() > 3)
      const suffix = processes === '1' ? '' : ' with 2 processes'
      expect(socket.notes.slice(0, 3)).toEqual([`STATUS=listens on port ${port}${suffix}`, 'READY=1', 'WATCHDOG=1'])
      expect(heard('STOPPING=1')).toBe(false)
      expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
      await until('it stops', () => heard('STOPPING=1'))
      expect(controller.log.filter(({ event }) => event === 'service_manager_unreachable')).toEqual([])
    })
  }

  test('does not hear from a controller whose event loop stands still', async () => {
    const controller = await start({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC })
    await until('it is alive', () => pings() > 0)
    controller.child.kill('SIGSTOP')
    // What it wrote before arrives still: until ten times its interval brings nothing.
    let [before, looks] = [-1, 0]
    await until('nothing arrives', () => {
      looks = pings() === before ? looks + 1 : 0
      before = pings()
      return looks * 20 > Number(WATCHDOG_USEC) / 200
    })
    controller.child.kill('SIGCONT')
    await until('it is alive again', () => pings() > before)
    await controller.stop('SIGTERM')
  })

  test('gets its relay again when that was killed', async () => {
    const controller = await start({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC })
    await until('it is alive', () => pings() > 0)
    const children = await readFile(`/proc/${controller.pid}/task/${controller.pid}/children`, 'utf8')
    const relay = children.trim().split(' ').map(Number)
    expect(relay).toHaveLength(1)
    process.kill(relay[0]!, 'SIGKILL')
    const before = pings()
    await until('it is alive again', () => pings() > before + 2)
    await controller.stop('SIGTERM')
  })

  test('hears when a worker listens, and that it stops', async () => {
    const controller = await start({})
    const worker = await startWorkerProcess(parties, controller.origin, { env: { NOTIFY_SOCKET: socket.path } })
    await until('it is ready', () => heard('READY=1'))
    expect(socket.notes[0]).toMatch(/^STATUS=listens at https:\/\/127\.0\.0\.1:\d+$/)
    worker.child.kill('SIGTERM')
    await until('it stops', () => heard('STOPPING=1'))
    await worker.kill()
    await controller.stop('SIGTERM')
  })
})

describe('without systemd-notify', () => {
  test('a controller serves, and says once why nobody hears it', async () => {
    const bin = join(parties.dir, 'no-programs')
    const controller = await start({ PATH: bin, NOTIFY_SOCKET: join(parties.dir, 'none'), WATCHDOG_USEC })
    const reports = () => controller.log.filter(({ event }) => event === 'service_manager_unreachable')
    await until('it is said', () => reports().length > 0)
    await controller.stop('SIGTERM')
    expect(reports()).toEqual([
      expect.objectContaining({
        level: 'warn',
        detail: expect.stringContaining('systemd-notify: not found'),
        hint: expect.stringContaining('Type=exec'),
      }),
    ])
  })
})
