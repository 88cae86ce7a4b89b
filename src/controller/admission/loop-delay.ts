// The delay of the event loop: how long everything waits for its turn. Measured by the system's own histogram, read at each
// scrape. The adaptive limit does not read it: the same delay is in the latency of the calls.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Seconds, since the previous reading. */
export type LoopDelay = { readonly p50: number; readonly p99: number; readonly max: number }

/** Each sample wakes an idle process; a delay that is often there is found as well by few. */
const RESOLUTION_MS = 200

/** `take` starts the next period. */
export function watchLoopDelay(): { readonly take: () => LoopDelay; readonly close: () => void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  // The histogram measures the intervals of a timer, not only what comes on top.
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000)
  return {
    take() {
      if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 }
      const { max } = histogram
      const delay = {
        p50: seconds(histogram.percentile(50)),
        p99: seconds(histogram.percentile(99)),
        max: seconds(max),
      }
      histogram.reset()
      return delay
    },
    close: () => void histogram.disable(),
  }
}
