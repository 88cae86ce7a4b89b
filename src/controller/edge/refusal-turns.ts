// One refusal per turn of the event loop, so that calls run in between however many requests have to be refused. Callers take
// turns: a flood of one delays only its own refusals for long.
import { FairLine } from '../../platform/fair-line.ts'

export type RefusalTurns = {
  /** Resolves when it is the turn of a refusal for `owner`; undefined: now. */
  readonly wait: (owner: string) => Promise<void> | undefined
}

export function createRefusalTurns(): RefusalTurns {
  const line = new FairLine<() => void>()
  let isTaken = false

  function serve(): void {
    isTaken = line.size > 0
    if (!isTaken) return
    line.next()?.()
    setImmediate(serve)
  }

  return {
    wait(owner) {
      if (isTaken) return new Promise((resolve) => line.add(owner, resolve))
      isTaken = true
      setImmediate(serve)
      return undefined
    },
  }
}
