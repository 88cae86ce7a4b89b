// A service goes on when nobody takes what it says: not a closed pipe, not a full disk behind stdout or stderr ends it.
import type { Logger } from './logger.ts'

/** For the life of the process. Node's own warnings become lines of the log: on stderr it writes them with a call that waits. */
export function outliveStandardStreams(log: Logger): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error')
    stream.on('error', () => undefined)
  }
  process.removeAllListeners('warning')
  process.on('warning', (err) => log.warn({ event: 'node_warning', err }, 'warning of Node'))
}
