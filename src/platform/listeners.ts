// Who wants to know of a change. Listeners cannot harm one another, nor whoever reports the change.

type Listeners<Args extends readonly unknown[]> = {
  /** @returns the function that removes it */
  readonly add: (listener: (...args: Args) => void) => () => void
  /** Calls those that are there now, in the order in which they came. Never throws. */
  readonly notify: (...args: Args) => void
}

/** `onThrown`: gets what a listener throws, for the log. */
export function createListeners<Args extends readonly unknown[]>(onThrown: (cause: unknown) => void): Listeners<Args> {
  // An entry for each `add`: the same function may be added twice, and removed once.
  const entries = new Set<{ readonly listener: (...args: Args) => void }>()
  return {
    add(listener) {
      const entry = { listener }
      entries.add(entry)
      return () => void entries.delete(entry)
    },
    notify(...args) {
      for (const entry of [...entries]) {
        if (!entries.has(entry)) continue
        try {
          entry.listener(...args)
        } catch (cause: unknown) {
          onThrown(cause)
        }
      }
    },
  }
}
