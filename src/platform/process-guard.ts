// What a process that holds a key does before all else, and how it ends: in order, whatever signal comes.
import { isMainThread } from 'node:worker_threads'
import closeWithGrace from 'close-with-grace'

/** Begin the drain. The second one changes nothing: the drain has a deadline of its own. */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT', 'SIGXCPU', 'SIGPWR'] as const
/**
 * Would end a process, or open Node's debugger (SIGUSR1), and mean nothing here. Not among them: the signals of a fault of
 * the machine code (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS). A process that went on after one would hang forever
 * or be wrong; what it had acknowledged is in the audit log.
 */
export const IGNORED_SIGNALS = [
  'SIGUSR1',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGSTKFLT',
  'SIGXFSZ',
] as const

/** close-with-grace has a list of its own, in which a real SIGSEGV would loop forever and a second SIGTERM cuts the drain. */
const OF_THE_LIBRARY = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'SIGTERM',
  // A start that failed ends with its own exit code.
  'beforeExit',
] as const

/** Files are for their owner only; signals that mean nothing do nothing. */
export function guardProcess(): void {
  if (isMainThread) process.umask(0o077)
  for (const signal of IGNORED_SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, () => undefined)
}

/**
 * From now on a signal, or an error that nobody caught, calls `close` and then ends the process; `delayMs` is all the time
 * that it has. To be called before a listener opens.
 */
export function endInOrder(end: { delayMs: number; close: (end: { err?: Error }) => Promise<void> }): void {
  const grace = closeWithGrace({ delay: end.delayMs, logger: false, skip: [...OF_THE_LIBRARY] }, end.close)
  let ending = false
  for (const signal of ENDING_SIGNALS) {
    process.on(signal, () => {
      if (!ending) grace.close()
      ending = true
    })
  }
}
