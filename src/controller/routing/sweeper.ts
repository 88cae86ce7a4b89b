// The timer that finds workers without heartbeats. A process that was stopped itself first reads the heartbeats that have
// arrived meanwhile: it cannot say that a worker was silent while it did not listen.
import { STALE_AFTER_MISSED } from '../../core/wire.ts'
import type { Holder, Registry } from './registry.ts'

type SweeperOptions = {
  readonly registry: Pick<Registry, 'sweep'>
  readonly heartbeatIntervalMs: number
  readonly monotonic: () => number
  /** Called for each worker that was removed. */
  readonly onRemoved?: (holder: Holder) => void
}

const SWEEP_MS = 1000

export function startSweeper({ registry, heartbeatIntervalMs, monotonic, onRemoved }: SweeperOptions): Disposable {
  let lastMs = monotonic()
  let isSkipped = false
  const timer = setInterval(
    () => {
      const nowMs = monotonic()
      // Not twice in a row: a process that is always late must still find them.
      isSkipped = !isSkipped && nowMs - lastMs > STALE_AFTER_MISSED * heartbeatIntervalMs
      lastMs = nowMs
      if (isSkipped) return
      for (const holder of registry.sweep()) onRemoved?.(holder)
    },
    Math.min(SWEEP_MS, heartbeatIntervalMs),
  )
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
