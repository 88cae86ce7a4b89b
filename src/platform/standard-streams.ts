// A service keeps running when its output fails: neither a closed pipe nor a full disk behind stdout or stderr ends it.
import type { Logger } from './logger.ts'

/** For the life of the process. Node's own warnings go to the log: Node would write them to stderr with a blocking call. */
export function outliveStandardStreams(log: Logger): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error')
    stream.on('error', () => undefined)
  }
  process.removeAllListeners('warning')
  process.on('warning', (err) => log.warn({ event: 'node_warning', err }, 'Node.js warning'))
}
