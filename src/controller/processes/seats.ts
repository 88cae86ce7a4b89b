// The processes that serve: starts one for each seat, and another one when it ends before its time.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Logger } from '../../platform/logger.ts'
import type { Task } from './words.ts'

type SeatsOptions = {
  /** The file that a process runs. */
  readonly entry: URL
  readonly env: NodeJS.ProcessEnv
  readonly log: Pick<Logger, 'error' | 'info'>
  readonly monotonic: () => number
  readonly taskOf: (slot: number) => Task
  /** Called at once after the start. */
  readonly onStarted: (slot: number, child: ChildProcess) => void
  /** Whether a process of this seat has served. One that ends before is not replaced: whoever started it waits for it. */
  readonly hasServed: (slot: number) => boolean
  /** Called once after the end. `isReplaced`: it ended before its time. */
  readonly onEnded: (slot: number, child: ChildProcess, isReplaced: boolean) => void
}

type Seats = {
  /** Starts the process of a seat. Once it has served, it is replaced when it ends. */
  readonly start: (slot: number) => ChildProcess
  /** No process is replaced any more. Resolves when all have ended; those that have not after `ms` are killed. */
  readonly stop: (ms: number, tell: (child: ChildProcess) => void) => Promise<void>
}

/** A process that lived for as long is replaced at once. */
const LIVED_MS = 10_000
/** Both get the signal of a terminal: the parent should know of it before it replaces anybody. */
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 30_000

export function createSeats(options: SeatsOptions): Seats {
  const { entry, env, log, monotonic, taskOf, onStarted, hasServed, onEnded } = options
  const children = new Map<number, ChildProcess>()
  const timers = new Map<number, NodeJS.Timeout>()
  const delays = new Map<number, number>()
  let isStopping = false

  const start = (slot: number): ChildProcess => {
    const startMs = monotonic()
    const child = fork(entry, [JSON.stringify(taskOf(slot))], { env, serialization: 'advanced' })
    children.set(slot, child)
    onStarted(slot, child)
    // `close` may never come: a grandchild can hold the output.
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (children.get(slot) !== child) return
      children.delete(slot)
      const isReplaced = !isStopping && hasServed(slot)
      onEnded(slot, child, isReplaced)
      const fields = { event: 'process_ended', process: slot, ended_pid: child.pid, code, signal }
      if (isReplaced) replaceLater(slot, monotonic() - startMs, fields)
      else if (!isStopping)
        log.error(fields, 'a process of the controller has ended before it served, and is not replaced')
    }
    child.once('exit', ended)
    child.once('error', (err) => {
      log.error({ event: 'process_not_started', process: slot, err }, 'a process of the controller cannot be started')
      ended(null, null)
    })
    return child
  }

  const replaceLater = (slot: number, livedMs: number, ended: object): void => {
    const delayMs = livedMs >= LIVED_MS ? FIRST_DELAY_MS : (delays.get(slot) ?? FIRST_DELAY_MS)
    delays.set(slot, livedMs >= LIVED_MS ? FIRST_DELAY_MS : Math.min(MAX_DELAY_MS, 2 * delayMs))
    const fields = { ...ended, replaced_in_ms: delayMs }
    log.error(fields, 'a process of the controller has ended, and is replaced')
    timers.set(
      slot,
      setTimeout(() => void start(slot), delayMs),
    )
  }

  return {
    start,
    async stop(ms, tell) {
      isStopping = true
      for (const timer of timers.values()) clearTimeout(timer)
      const ends = [...children.values()].map((child) => once(child, 'exit'))
      for (const child of children.values()) tell(child)
      const killer = setTimeout(() => {
        for (const child of children.values()) child.kill('SIGKILL')
      }, ms)
      await Promise.all(ends)
      clearTimeout(killer)
    },
  }
}
