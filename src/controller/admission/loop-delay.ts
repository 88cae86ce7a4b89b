// The delay of the event loop: how long everything waits for its turn. Measured by the system's own histogram, read at each
// scrape. The adaptive limit does not read it: the same delay is in the latency of the calls.
import { monitorEventLoopDelay } from 'node:perf_hooks'

type Histogram = ReturnType<typeof monitorEventLoopDelay>

/** Seconds, since the previous reading. */
export type LoopDelay = { readonly p50: number; readonly p99: number; readonly max: number }

/** Each sample wakes an idle process, so there are many only after a period with a delay; one that is often there is found by few. */
const SELDOM_MS = 1000
const OFTEN_MS = 200
const LATE_S = 0.01

/** `take` starts the next period. */
export function watchLoopDelay(): { readonly take: () => LoopDelay; readonly close: () => void } {
  let resolutionMs = SELDOM_MS
  let histogram = histogramOf(resolutionMs)
  return {
    take() {
      const delay = delayOf(histogram, resolutionMs)
      const wantedMs = delay.max > LATE_S ? OFTEN_MS : SELDOM_MS
      // A new one measures from its first sample on.
      if (wantedMs === resolutionMs) histogram.reset()
      else {
        histogram.disable()
        resolutionMs = wantedMs
        histogram = histogramOf(resolutionMs)
      }
      return delay
    },
    close: () => void histogram.disable(),
  }
}

function histogramOf(resolution: number): Histogram {
  const histogram = monitorEventLoopDelay({ resolution })
  histogram.enable()
  return histogram
}

function delayOf(histogram: Histogram, resolutionMs: number): LoopDelay {
  if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 }
  // The histogram measures the intervals of a timer, not only what comes on top.
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000)
  return {
    p50: seconds(histogram.percentile(50)),
    p99: seconds(histogram.percentile(99)),
    max: seconds(histogram.max),
  }
}
