// Limits how much work runs at once: one job per key, and a few in total. Others wait for their turn, but not for long.
import { AppError } from '../core/errors.ts'

export type Turns = {
  /**
   * Runs `work` when it is the turn of `key`. Waiting keys take turns in order of arrival.
   * @throws {AppError} `overloaded` when too many are waiting already, or the wait took too long
   */
  readonly run: <T>(key: string, work: () => Promise<T>) => Promise<T>
}

export type TurnsOptions = {
  /** How many run at once in total; per key always one. */
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
