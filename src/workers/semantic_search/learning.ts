// When the model of a collection is trained again: some time after the last change, or for a search.
import { fitModel } from './lsa.ts'
import { createPause } from './pause.ts'
import type { Entry, Shelf } from './shelf.ts'

export type LearningOptions = {
  /** A model is trained again when its caller has changed nothing for this long, or searches. */
  readonly quietMs?: number
  /** Up to this many terms in all documents, a search waits until the model matches the documents. */
  readonly waitUpTo?: number
}
type Learning = {
  /** After a change. */
  readonly whenQuiet: (entry: Entry) => void
  /** Before a search: waits for a small model, and starts a large one. */
  readonly forSearch: (entry: Entry) => Promise<void>
}

const QUIET_MS = 500
const WAIT_UP_TO = 20_000

/** `closing`: no training starts after it aborts. */
export function createLearning(
  { quietMs = QUIET_MS, waitUpTo = WAIT_UP_TO }: LearningOptions,
  { shelf, closing }: { readonly shelf: Pick<Shelf, 'use'>; readonly closing: AbortSignal },
): Learning {
  let lastLarge = Promise.resolve()
  return { whenQuiet, forSearch }

  function whenQuiet(entry: Entry): void {
    clearTimeout(entry.timer)
    if (closing.aborted || !entry.collection.isStale()) return
    entry.timer = setTimeout(() => void fit(entry), quietMs)
  }

  async function forSearch(entry: Entry): Promise<void> {
    const { collection } = entry
    // Twice: a training that is running may have started before the last change.
    for (let time = 0; time < 2 && collection.isStale(); time += 1) {
      const fitted = fit(entry)
      if (collection.fitCost() > waitUpTo) return
      await fitted
    }
  }

  /** A failed training fails no call: the older model stays, and the next search tries again. */
  function fit(entry: Entry): Promise<void> {
    clearTimeout(entry.timer)
    entry.fitting ??= learnInTurn(entry)
      .catch(() => undefined)
      .finally(() => {
        entry.fitting = undefined
      })
    return entry.fitting
  }

  /** Large models are trained one at a time, since each needs much memory; a small one does not wait. */
  function learnInTurn(entry: Entry): Promise<void> {
    if (entry.collection.fitCost() <= waitUpTo) return learn(entry)
    const learnt = lastLarge.then(() => learn(entry))
    lastLarge = learnt.catch(() => undefined)
    return learnt
  }

  async function learn(entry: Entry): Promise<void> {
    const { collection, turns } = entry
    const pause = createPause(closing)
    await shelf.use(entry, async () => {
      const gathered = await turns.read(() => collection.gather(pause))
      const fitted = await fitModel(gathered.corpus, pause)
      await turns.write(() => collection.adopt(gathered, fitted, pause))
    })
    if (collection.isStale()) whenQuiet(entry)
  }
}
