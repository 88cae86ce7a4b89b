// Messages to the service manager, over systemd-notify. Node has no datagram sockets of the Unix kind; a small shell that lives
// as long as this process starts systemd-notify for each message, so that this one, which is large, never forks for it.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { childEnvironment } from './env.ts'
import type { Logger } from './logger.ts'

/** One assignment of sd_notify(3), such as `READY=1`. Never throws: a message that is lost is reported in the log. */
export type SendNote = (note: string) => void

/** Ends with its input, however this process ends. */
const RELAY = 'while IFS= read -r note; do systemd-notify "$note"; done'

/** `env`: has NOTIFY_SOCKET. The shell starts with the first message. */
export function createNotifyRelay(env: NodeJS.ProcessEnv, log: Pick<Logger, 'warn'>): SendNote {
  let relay: ChildProcess | undefined
  let isReported = false
  const report = (detail: string): void => {
    if (isReported) return
    isReported = true
    const hint = 'systemd-notify, of the package systemd, must be on PATH; else use Type=exec and no WatchdogSec='
    log.warn(
      { event: 'service_manager_unreachable', detail, hint },
      'the service manager cannot be told how this process is',
    )
  }
  const start = (): ChildProcess => {
    const child = spawn('/bin/sh', ['-c', RELAY], {
      env: childEnvironment(env, (name) => name === 'NOTIFY_SOCKET'),
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    const gone = (): void => {
      if (relay === child) relay = undefined
    }
    child.on('error', ({ message }) => {
      gone()
      report(message)
    })
    child.on('exit', gone)
    // It ended between two messages: the next one starts another.
    child.stdin.on('error', gone)
    createInterface(child.stderr).on('line', report)
    // Nobody waits for it.
    for (const part of [child, child.stdin, child.stderr]) (part as { unref?: () => void }).unref?.()
    return child
  }
  return (note) => {
    relay ??= start()
    relay.stdin?.write(`${note}\n`)
  }
}
