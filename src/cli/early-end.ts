// Work that a command must finish when it ends early: by a signal, or because its output is closed.

type Task = () => Promise<void>

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const tasks = new Set<Task>()
let ending: Promise<unknown> | undefined

/** `task` runs before an early end, which waits for it. @returns a function that removes the task */
export function beforeEarlyEnd(task: Task): () => void {
  if (tasks.size === 0) for (const signal of SIGNALS) process.once(signal, onSignal)
  tasks.add(task)
  return () => {
    tasks.delete(task)
    if (tasks.size === 0) ignoreSignals()
  }
}

/** Ends the process with `code` when all tasks are done. May be called again meanwhile. */
export function endEarly(code: number): void {
  if (tasks.size === 0 && ending === undefined) process.exit(code)
  void runTasks().finally(() => process.exit(code))
}

/** The first signal ends the process when all tasks are done, the second one at once: as the signal would have. */
function onSignal(signal: NodeJS.Signals): void {
  ignoreSignals()
  void runTasks().finally(() => process.kill(process.pid, signal))
}

function ignoreSignals(): void {
  for (const signal of SIGNALS) process.off(signal, onSignal)
}

function runTasks(): Promise<unknown> {
  return (ending ??= Promise.allSettled([...tasks].map((task) => task())))
}
