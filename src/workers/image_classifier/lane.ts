// Runs one piece of work at a time, in the order of arrival.

/**
 * Runs `work` after all earlier work. Rejects with the signal's reason if it aborts while waiting; started work is
 * finished.
 */
type Lane = <T>(signal: AbortSignal, work: () => Promise<T>) => Promise<T>

export function createLane(): Lane {
  let last = Promise.resolve<undefined>(undefined)
  return async (signal, work) => {
    const before = last
    const { promise: done, resolve } = Promise.withResolvers<undefined>()
    last = before.then(() => done)
    try {
      await untilAborted(before, signal)
      return await work()
    } finally {
      resolve(undefined)
    }
  }
}

async function untilAborted(turn: Promise<undefined>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    await Promise.race([turn, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
