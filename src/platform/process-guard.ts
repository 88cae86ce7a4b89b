// The first steps of a process that holds a private key, and its orderly end on any signal.
import { isMainThread } from 'node:worker_threads'
import closeWithGrace from 'close-with-grace'

/** These begin the drain. A second signal changes nothing: the drain has its own deadline. */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT', 'SIGXCPU', 'SIGPWR'] as const
/**
 * These have no meaning here, but by default end a process or open Node's debugger (SIGUSR1). The signals of a fault in
 * machine code (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS) are not listed: a process that continued after one would
 * hang or give wrong results, and everything it had acknowledged is in the audit log.
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

/** The signals of close-with-grace, all skipped: its handlers would loop on a real SIGSEGV, and cut the drain on a second SIGTERM. */
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

/** Makes new files readable by their owner only, and ignores the signals that have no meaning here. */
export function guardProcess(): void {
  if (isMainThread) process.umask(0o077)
  for (const signal of IGNORED_SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, () => undefined)
}

/** What ends the process: an uncaught error or a signal. */
type End = { readonly err?: Error; readonly signal?: NodeJS.Signals | undefined }

/** Begins the end as this signal does. */
export type EndNow = (signal: NodeJS.Signals) => void

/**
 * From now on a signal or an uncaught error calls `close` and then ends the process, after `delayMs` at the latest. Call it
 * before a listener opens.
 */
export function endInOrder(end: { delayMs: number; close: (end: End) => Promise<void> }): EndNow {
  // The library does not know the signal: it is told to close, since its own handlers are skipped.
  let by: NodeJS.Signals | undefined
  const grace = closeWithGrace({ delay: end.delayMs, logger: false, skip: [...OF_THE_LIBRARY] }, ({ err }) =>
    end.close({ ...(err !== undefined && { err }), signal: by }),
  )
  const endNow: EndNow = (signal) => {
    if (by !== undefined) return
    by = signal
    grace.close()
  }
  for (const signal of ENDING_SIGNALS) process.on(signal, () => endNow(signal))
  return endNow
}
