// The limits of one request in a thread. The heap has a limit of its own (ThreadOptions), which V8 keeps.
import type { Worker } from 'node:worker_threads'
import { memoryFailure, ThreadFailure } from './failure.ts'

/** Beyond each of them the thread is ended: nothing else stops code that does not give way. */
export type RequestLimits = {
  /** Wall-clock time from when the thread is ready; a start may take as long once more. */
  readonly wallMs?: number | undefined
  /** CPU time that the thread uses meanwhile. */
  readonly cpuMs?: number
  /** Memory outside of the heap: buffers, inflated streams, pictures. */
  readonly externalBytes?: number
}

/** CPU time that a thread has used since its start, in milliseconds. */
export type ReadCpuMs = (worker: Worker) => Promise<number>

const LOOK_MS = 100

/** Calls `exceed` at most once. @returns the function that ends the watch */
export function watchLimits(
  worker: Worker,
  { wallMs, cpuMs, externalBytes }: RequestLimits,
  readCpuMs: ReadCpuMs,
  exceed: (failure: ThreadFailure) => void,
): () => void {
  let watching = true
  const stop = (): void => {
    watching = false
    clearTimeout(timer)
    clearInterval(interval)
  }
  // A reading may come when the watch is over, and the thread at another request or gone.
  const endIf = (isReached: boolean, failure: () => ThreadFailure): void => {
    if (!watching || !isReached) return
    stop()
    exceed(failure())
  }
  const ignore = (): void => undefined
  // The thread that is watched keeps the process; these need not.
  const timer = wallMs === undefined ? undefined : setTimeout(() => endIf(true, () => tooLate(wallMs)), wallMs).unref()
  const startMs = cpuMs === undefined ? undefined : readCpuMs(worker)
  startMs?.catch(ignore)
  const look = (): void => {
    if (externalBytes !== undefined) {
      const isOver = ({ external_memory }: { external_memory: number }): boolean => external_memory > externalBytes
      worker.getHeapStatistics().then((now) => endIf(isOver(now), memoryFailure), ignore)
    }
    if (cpuMs !== undefined) {
      Promise.all([startMs ?? 0, readCpuMs(worker)]).then(
        ([before, now]) => endIf(now - before > cpuMs, () => tooMuchWork(cpuMs)),
        ignore,
      )
    }
  }
  const interval = cpuMs === undefined && externalBytes === undefined ? undefined : setInterval(look, LOOK_MS).unref()
  return stop
}

export async function threadCpuMs(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage()
  return (user + system) / 1000
}

function tooLate(limitMs: number): ThreadFailure {
  return new ThreadFailure('wall_limit', `the thread did not answer within ${limitMs} ms`)
}

function tooMuchWork(limitMs: number): ThreadFailure {
  return new ThreadFailure('cpu_limit', `the thread used more than ${limitMs} ms of CPU time`)
}
