// On the path of every call. Picks the less busy of two random workers: nearly even load without shared state (Mitzenmacher,
// "The power of two choices").
import type { WorkerInstance } from './registry.ts'

/**
 * Picks a provider, or undefined when none is left.
 * @param random a number in [0, 1)
 * @param tried instances that an earlier attempt of the same call found unreachable
 */
export function pickProvider(
  providers: readonly WorkerInstance[],
  random: () => number,
  tried?: ReadonlySet<WorkerInstance>,
): WorkerInstance | undefined {
  const open = tried === undefined || tried.size === 0 ? providers : providers.filter((worker) => !tried.has(worker))
  if (open.length < 2) return open[0]
  const first = Math.floor(random() * open.length)
  const step = 1 + Math.floor(random() * (open.length - 1))
  const a = open[first]
  const b = open[(first + step) % open.length]
  return a !== undefined && b !== undefined && b.inFlight < a.inFlight ? b : a
}
