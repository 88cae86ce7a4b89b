// CPU time of processes as the Linux scheduler counts it, in nanoseconds: finer than the 10 ms ticks of /proc/<pid>/stat.
import { readdirSync, readFileSync } from 'node:fs'
import { sum } from './statistics.ts'

/** Process ids by role: `controller`, `worker`, … */
export type Pids = Readonly<Record<string, number>>

/** CPU time of each process and of those that it has started, in microseconds, over all their living threads. */
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

/** Not part of what is measured: they load it, or receive what it exports. */
const OUTSIDE = new Set(['generator', 'collector', 'jaeger'])

/** The CPU of everything that answers a call: the server, its policy engine and the worker. */
export function cpuOfAll(cpuUs: Readonly<Record<string, number>>): number {
  return sum(Object.entries(cpuUs).flatMap(([part, us]) => (OUTSIDE.has(part) ? [] : us)))
}

function cpuOf(pid: number): number {
  const folder = `/proc/${pid}/task`
  let us = 0
  for (const thread of readdirSync(folder)) {
    us += threadTime(`${folder}/${thread}/schedstat`) / 1000
    for (const child of childrenOf(`${folder}/${thread}/children`)) us += cpuOf(child)
  }
  return us
}

/** Process ids of the processes that a thread has started. */
function childrenOf(file: string): number[] {
  try {
    return readFileSync(file, 'latin1').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** The first number of schedstat: time on a CPU. A thread may end between listing and reading. */
function threadTime(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'latin1'), 10)
  } catch {
    return 0
  }
}
