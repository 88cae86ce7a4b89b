// The limits of one request in a thread. The heap limit (ThreadOptions) is separate, and V8 enforces it.
import type { Worker } from 'node:worker_threads'
import { memoryFailure, ThreadFailure } from './failure.ts'

/** When a limit is exceeded the thread is terminated: nothing else stops code that never yields. */
export type RequestLimits = {
  /** Wall-clock time from the moment when the thread is ready; its start may take the same time again. */
  readonly wallMs?: number | undefined
  /** CPU time that the thread uses during the request. */
  readonly cpuMs?: number
  /** Memory outside the heap: buffers, inflated streams, images. */
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
  // A reading may arrive after the watch has ended, when the thread has ended or works on another request.
  const endIf = (isReached: boolean, failure: () => ThreadFailure): void => {
    if (!watching || !isReached) return
    stop()
    exceed(failure())
  }
  const ignore = (): void => undefined
  // The watched thread keeps the process alive; these timers need not.
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
