// Listeners to a change. One that throws affects neither the other listeners nor the code that reports the change.

type Listeners<Args extends readonly unknown[]> = {
  /** @returns the function that removes it */
  readonly add: (listener: (...args: Args) => void) => () => void
  /** Calls the listeners present now, in the order in which they were added. Never throws. */
  readonly notify: (...args: Args) => void
}

/** `onThrown` receives what a listener throws, for the log. */
export function createListeners<Args extends readonly unknown[]>(onThrown: (cause: unknown) => void): Listeners<Args> {
  // One entry per `add`: the same function may be added twice and removed once.
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
