// Keeps one stream open: opens it again when it ends, at most once a second, and more and more seldom while that fails.
import type { OpenStream, StreamEnd } from './x509-stream.ts'

/** `leastMs`: between two dials. `firstMs`, `mostMs`: the first and the longest wait after failures, which double. */
export type StreamPace = { readonly leastMs: number; readonly firstMs: number; readonly mostMs: number }

/** `retryMs`: until the next dial; undefined: there will be none. `wasGood`: the stream had brought a good message. */
export type StreamDown = { readonly end: StreamEnd; readonly retryMs: number | undefined; readonly wasGood: boolean }

type StreamingOptions = {
  readonly open: OpenStream
  /** Returns whether the message was good. */
  readonly onMessage: (bytes: Buffer) => boolean
  readonly onDown: (down: StreamDown) => void
  /** From 0 to below 1. */
  readonly random: () => number
  readonly pace?: Partial<StreamPace>
}

const PACE: StreamPace = { leastMs: 1000, firstMs: 1000, mostMs: 30_000 }
/** Part of a wait that is drawn: the workloads of a node must not all come back at once. */
const SPREAD = 0.2
/** SPIFFE_Workload_Endpoint.md, section 6: the call itself is wrong, so that it would fail again. */
const FINAL = new Set(['INVALID_ARGUMENT', 'UNIMPLEMENTED'])

/** Dials at once. The returned function ends it; then nothing is called any more. Keeps the process alive until then. */
export function keepStreaming({ open, onMessage, onDown, random, pace }: StreamingOptions): () => void {
  const { leastMs, firstMs, mostMs } = { ...PACE, ...pace }
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let cancel: () => void = () => undefined

  function dial(): void {
    const dialledMs = performance.now()
    let wasGood = false
    cancel = open({
      onMessage(bytes) {
        if (!onMessage(bytes)) return
        wasGood = true
        failures = 0
      },
      onEnd(end) {
        const waitMs = wasGood && end.code !== 'PERMISSION_DENIED' ? 0 : backoffMs(failures++)
        const retryMs = FINAL.has(end.code) ? undefined : Math.max(waitMs, dialledMs + leastMs - performance.now())
        if (retryMs !== undefined) timer = setTimeout(dial, retryMs)
        onDown({ end, retryMs, wasGood })
      },
    })
  }

  function backoffMs(failed: number): number {
    return Math.min(firstMs * 2 ** failed, mostMs / (1 + SPREAD)) * (1 + SPREAD * random())
  }

  dial()
  return () => {
    clearTimeout(timer)
    cancel()
  }
}
