// CPU time of processes as the Linux scheduler counts it, in nanoseconds: finer than the 10 ms ticks of /proc/<pid>/stat.
import { readdirSync, readFileSync } from 'node:fs'

/** Process ids by role: `controller`, `worker`, … */
export type Pids = Readonly<Record<string, number>>

/** CPU time of each process so far, in microseconds, over all its living threads. */
export function cpuTimes(pids: Pids): Map<string, number> {
  return new Map(Object.entries(pids).map(([part, pid]) => [part, cpuOf(pid)]))
}

/** Microseconds per request since `before`. */
export function cpuPerRequest(
  pids: Pids,
  before: ReadonlyMap<string, number>,
  requests: number,
): Record<string, number> {
  const now = cpuTimes(pids)
  return Object.fromEntries([...now].map(([part, us]) => [part, (us - (before.get(part) ?? 0)) / requests]))
}

function cpuOf(pid: number): number {
  const folder = `/proc/${pid}/task`
  let ns = 0
  for (const thread of readdirSync(folder)) ns += threadTime(`${folder}/${thread}/schedstat`)
  return ns / 1000
}

/** The first number of schedstat: time on a CPU. A thread may end between listing and reading. */
function threadTime(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'latin1'), 10)
  } catch {
    return 0
  }
}
