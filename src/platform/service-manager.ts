// What the service manager (systemd) hears of this process: ready, stopping, alive. The protocol is sd_notify(3); without
// NOTIFY_SOCKET nobody listens, and nothing is said.
import type { Logger } from './logger.ts'
import { createNotifyRelay, type SendNote } from './notify-relay.ts'

type ServiceManager = {
  /**
   * The start is complete; from now on the watchdog (WatchdogSec=) is fed, twice per its time, by the event loop of this process
   * and only while `isAlive`: a loop that is blocked, or a process that cannot serve, is restarted.
   */
  readonly ready: (status: string, isAlive?: () => boolean) => void
  /** The end begins. The watchdog is fed until the process is gone: the drain has its own deadline. */
  readonly stopping: () => void
}

type ManagerOptions = {
  readonly env: NodeJS.ProcessEnv
  readonly log: Pick<Logger, 'warn'>
  /** Default: systemd-notify. */
  readonly send?: SendNote
  /** This process, and the one that started it. */
  readonly pids?: readonly number[]
}

/** Joins the service manager that `env` names, if any. Opens nothing before `ready` or `stopping`. */
export function joinServiceManager(options: ManagerOptions): ServiceManager {
  const { env, log, pids = [process.pid, process.ppid] } = options
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return { ready: nothing, stopping: nothing }
  const send = options.send ?? createNotifyRelay(env, log)
  const watchdogMs = watchdogMsOf(env, pids)
  let isStopping = false
  return {
    ready(status, isAlive = () => true) {
      // A signal may arrive during the start.
      if (isStopping) return
      send(`STATUS=${status}`)
      send('READY=1')
      if (watchdogMs === undefined) return
      setInterval(() => {
        if (isStopping || isAlive()) send('WATCHDOG=1')
      }, watchdogMs / 2).unref()
    },
    stopping() {
      if (isStopping) return
      isStopping = true
      send('STATUS=draining: no new calls')
      send('STOPPING=1')
    },
  }
}

/** As sd_watchdog_enabled(3); the launcher of an old Node may be the main process in our place. */
function watchdogMsOf(env: NodeJS.ProcessEnv, pids: readonly number[]): number | undefined {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: pid = '' } = env
  if (!/^[1-9]\d*$/.test(microseconds)) return undefined
  if (pid !== '' && !pids.includes(Number(pid))) return undefined
  return Number(microseconds) / 1000
}

function nothing(): void {
  // Nobody listens.
}
