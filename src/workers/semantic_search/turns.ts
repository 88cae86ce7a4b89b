// A read-write lock for a store: any number of readers at a time, or one writer.

export type Turns = {
  /** Runs when all earlier writers are done. */
  readonly read: <T>(work: () => Promise<T>) => Promise<T>
  /** Runs when all earlier readers and writers are done. */
  readonly write: <T>(work: () => Promise<T>) => Promise<T>
}

export function createTurns(): Turns {
  let lastWriter: Promise<unknown> = Promise.resolve()
  const readers = new Set<Promise<unknown>>()
  return {
    read: (work) => {
      const result = lastWriter.then(work)
      const done = settled(result).finally(() => readers.delete(done))
      readers.add(done)
      return result
    },
    write: (work) => {
      const result = Promise.all([lastWriter, ...readers]).then(work)
      lastWriter = settled(result)
      return result
    },
  }
}

function settled(work: Promise<unknown>): Promise<unknown> {
  return work.catch(() => undefined)
}
