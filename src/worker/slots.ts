// Counts running calls: in total, and per capability up to its max_concurrency.
import type { CapabilityDefinition } from './define.ts'

export type Slots = {
  /** Takes a slot and returns its release (call it once), or undefined when the capability is at its limit. */
  take(definition: CapabilityDefinition): (() => void) | undefined
  inFlight(): number
  /** Resolves when no call is running. */
  idle(): Promise<void>
}

export function createSlots(): Slots {
  const running = new Map<CapabilityDefinition, number>()
  let total = 0
  let waiting: (() => void)[] = []
  return {
    take(definition) {
      const count = running.get(definition) ?? 0
      if (count >= (definition.schema.max_concurrency ?? Number.POSITIVE_INFINITY)) return undefined
      add(definition, 1)
      let held = true
      return () => {
        if (held) add(definition, -1)
        held = false
      }
    },
    inFlight: () => total,
    idle: () => (total === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  }

  function add(definition: CapabilityDefinition, by: 1 | -1): void {
    running.set(definition, (running.get(definition) ?? 0) + by)
    total += by
    if (total > 0) return
    for (const resolve of waiting) resolve()
    waiting = []
  }
}
