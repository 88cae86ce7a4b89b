// Measures how long a call takes, for the output member `processing_time_ms`.

/** Starts now. @returns milliseconds since then, to the microsecond, never below 0; `monotonic` gives milliseconds */
export function startStopwatch(monotonic: () => number): () => number {
  const startedMs = monotonic()
  return () => Math.max(0, Math.round((monotonic() - startedMs) * 1000) / 1000)
}
