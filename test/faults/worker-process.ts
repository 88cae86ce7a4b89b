// A worker as a process of its own, started as a user starts it, so that it can be stopped and killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { CRANK } from '../fixtures/controller-process.ts'
import { HELLO } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import type { Lab } from './lab.ts'

const DEFINITION = join(import.meta.dirname, 'worker-definition.ts')

export type WorkerProcess = {
  readonly pid: number
  /** Of its executions. */
  readonly log: string
  readonly kill: () => Promise<void>
  readonly stop: () => Promise<void>
  readonly signal: (signal: NodeJS.Signals) => void
  /** Milliseconds from `sinceMs` (wall clock) until the controller routes no call to it. */
  readonly untilUnlisted: (sinceMs: number) => Promise<number>
}

/** Starts `worker-hello-world.<name>` and waits until it is registered. */
export async function startWorkerProcess(lab: Lab, name: string): Promise<WorkerProcess> {
  const log = lab.workerLog(name)
  const { origin } = lab.controller()
  const id = `worker-hello-world.${name}`
  const child = spawn(process.execPath, [CRANK, 'worker', DEFINITION], {
    env: {
      PATH: process.env['PATH'],
      CONTROLLER_URL: origin,
      CRANK_WORKER_PORT: '0',
      CRANK_WORKER_INSTANCE: name,
      FAULTS_WORKER_LOG: log,
      FAULTS_AUDIT_LOG: lab.auditLog(),
      FAULTS_WORKER_NAME: id,
      ...(await lab.parties.tlsEnv(HELLO)),
    },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill('SIGCONT')
    child.kill(signal)
    await ended
  }
  lab.defer(() => end('SIGKILL'))
  const isLive = async (): Promise<boolean> =>
    (await lab.workers()).some((one) => one.worker_id === id && one.state === 'live')
  await until(`${id} is registered`, isLive, 30_000)
  return {
    pid: child.pid!,
    log,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    signal: (signal) => void child.kill(signal),
    async untilUnlisted(sinceMs) {
      await until(`${id} is not routable`, async () => !(await isLive()), 60_000)
      return Date.now() - sinceMs
    },
  }
}
