// Turns at something that few may do at a time: one for each key, a handful in all. The others wait, but not for long.
import { AppError } from '../core/errors.ts'

export type Turns = {
  /**
   * Runs `work` when it is the turn of `key`. Keys that wait take turns in the order they came.
   * @throws {AppError} `overloaded` when too many wait already, or the wait took too long
   */
  readonly run: <T>(key: string, work: () => Promise<T>) => Promise<T>
}

export type TurnsOptions = {
  /** At once in all; always one at once for each key. */
  readonly inAll: number
  readonly waiting: { readonly inAll: number; readonly perKey: number }
  readonly waitMs: number
}

type Waiting = { readonly key: string; readonly start: () => void }

export function createTurns({ inAll, waiting: room, waitMs }: TurnsOptions): Turns {
  const busy = new Set<string>()
  const line: Waiting[] = []

  function startNext(): void {
    for (const next of [...line]) {
      if (busy.size >= inAll) return
      if (!busy.has(next.key)) next.start()
    }
  }

  function waitForTurn(key: string): Promise<void> | undefined {
    if (busy.size < inAll && !busy.has(key)) {
      busy.add(key)
      return undefined
    }
    const ofKey = line.filter((other) => other.key === key).length
    if (line.length >= room.inAll || ofKey >= room.perKey) throw new AppError('overloaded')
    return new Promise<void>((resolve, reject) => {
      const entry = { key, start }
      const timer = setTimeout(() => {
        leave()
        reject(new AppError('overloaded'))
      }, waitMs)
      line.push(entry)

      function leave(): void {
        line.splice(line.indexOf(entry), 1)
        clearTimeout(timer)
      }
      function start(): void {
        leave()
        busy.add(key)
        resolve()
      }
    })
  }

  return {
    async run(key, work) {
      const turn = waitForTurn(key)
      if (turn !== undefined) await turn
      try {
        return await work()
      } finally {
        busy.delete(key)
        startNext()
      }
    },
  }
}
