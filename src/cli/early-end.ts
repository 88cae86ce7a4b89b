// What a command still has to do when it ends in the middle: by a signal, or because nobody reads its output any more.

type Task = () => Promise<void>

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const tasks = new Set<Task>()
let ending: Promise<unknown> | undefined

/** `task` runs before an early end, which waits for it. @returns the function that takes it out again. */
export function beforeEarlyEnd(task: Task): () => void {
  if (tasks.size === 0) for (const signal of SIGNALS) process.once(signal, onSignal)
  tasks.add(task)
  return () => {
    tasks.delete(task)
    if (tasks.size === 0) ignoreSignals()
  }
}

/** Ends the process with `code`, at once where nothing is left to do. May be called again while something is. */
export function endEarly(code: number): void {
  if (tasks.size === 0 && ending === undefined) process.exit(code)
  void runTasks().finally(() => process.exit(code))
}

/** The second one ends the process at once, the first does when all is done: as the signal would have. */
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
