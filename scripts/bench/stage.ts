// The place of a part of the bench: a folder below .crank, its processes, and their orderly end in every case.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createProcesses, type Processes } from './processes.ts'

export type Stage = AsyncDisposable & {
  /** Settles like `work`, or rejects as soon as a process ends or the run is stopped. */
  readonly unlessBroken: <T>(work: Promise<T>) => Promise<T>
}

export const ROOT = join(import.meta.dirname, '..', '..')

/** Starts `parts` in a folder below `.crank`, on the disk that a controller would use: /tmp may be memory. */
export async function setStage<Parts extends object>(
  stop: AbortSignal,
  parts: (dir: string, processes: Processes) => Promise<Parts>,
): Promise<Parts & Stage> {
  const crank = join(ROOT, '.crank')
  await mkdir(crank, { recursive: true, mode: 0o700 })
  // The name shows the owner: two runs may use one checkout.
  const dir = await mkdtemp(join(crank, `bench-${process.pid}-`))
  const processes = createProcesses(dir)
  const stopped = whenStopped(stop)
  const unlessBroken = <T>(work: Promise<T>): Promise<T> => Promise.race([work, processes.broken, stopped])
  const dispose = async (): Promise<void> => {
    await processes.stop()
    await rm(dir, { recursive: true, force: true })
  }
  const starting = parts(dir, processes)
  try {
    return { ...(await unlessBroken(starting)), unlessBroken, [Symbol.asyncDispose]: dispose }
  } catch (cause: unknown) {
    await processes.stop()
    // Wait for starts in progress first: they may still write to the folder.
    await Promise.allSettled([starting])
    await dispose()
    throw cause
  }
}

/** Rejects with the signal's reason. */
function whenStopped(stop: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  if (stop.aborted) reject(stop.reason as Error)
  stop.addEventListener('abort', () => reject(stop.reason as Error), { once: true })
  return promise
}
