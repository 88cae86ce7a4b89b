// Observation must not stop the work: a failing metric must not fail a request.

/** The same functions, none of which throws. The first fault of each is emitted as a process warning. */
export function asObserver<T extends Record<string, (...args: never[]) => unknown>>(functions: T): T {
  const guarded = Object.entries(functions).map(([name, run]) => [name, neverThrowing(name, run)])
  return Object.fromEntries(guarded) as T
}

function neverThrowing<Args extends never[]>(name: string, run: (...args: Args) => unknown) {
  let isKnown = false
  return (...args: Args): unknown => {
    try {
      return run(...args)
    } catch (cause: unknown) {
      if (!isKnown)
        process.emitWarning(`${name}: ${cause instanceof Error ? cause.message : typeof cause}`, 'ObserverWarning')
      isKnown = true
      return undefined
    }
  }
}
