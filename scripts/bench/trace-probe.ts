// Measures how long after its answer a trace can be found: sequential calls beside a load, each queried by its id until
// the trace is complete. Only one trace is queried at a time, so that queries are few compared with the calls.
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import type { Span } from '../lab/otlp-receiver.ts'
import type { JaegerQuery } from '../lab/jaeger-query.ts'
import { openConnection } from './connection.ts'
import { routeRequest, traceIdAt } from './request-bytes.ts'
import { latencyOf, type Latency } from './statistics.ts'

/**
 * `latencyMs`: from the answer's last byte until the complete trace is found. `asks`: queries to Jaeger over all
 * probes.
 */
export type ProbeResult = {
  readonly latencyMs: Latency
  readonly probes: number
  readonly asks: number
  /** Not complete after half a minute. */
  readonly missing: number
}

export type ProbeJob = {
  readonly port: number
  readonly caller: ConnectionOptions
  /** Undefined: calls without queries, so that a row without export has the same calls. */
  readonly jaeger: JaegerQuery | undefined
  /** 16 hex digits, as in a LoadJob. */
  readonly run: string
  /** Pause between the end of one probe and the call of the next. */
  readonly pauseMs: number
  readonly until: Promise<unknown>
}

/** Delay to the next query: 5 ms, later a twentieth of the elapsed time, which is precise enough with fewer queries. */
const ASK_AGAIN_MS = 5
const ASK_AGAIN_SHARE = 1 / 20
const LIMIT_MS = 30_000

/** The spans of every call of the bench. */
export const WHOLE: readonly string[] = [
  'crank-controller: POST /route',
  'crank-controller: policy.evaluate',
  'crank-controller: worker.select',
  'crank-controller: POST /execute',
  'crank-worker-hello-world: worker_execute',
]

/** Probes until `until` settles. */
export async function probeTraces({ port, caller, jaeger, run, pauseMs, until }: ProbeJob): Promise<ProbeResult> {
  const { promise: faulty, reject } = Promise.withResolvers<never>()
  faulty.catch(() => undefined)
  const connection = await openConnection({ ...caller, port }, reject)
  const state = { over: false }
  const end = (): void => {
    state.over = true
  }
  until.then(end, end)
  const call = (traceId: string): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => connection.send(routeRequest(port, traceId), () => resolve())),
      faulty,
    ])
  const found: number[] = []
  let [probes, asks, missing] = [0, 0, 0]
  while (!state.over) {
    const traceId = traceIdAt(run, probes++)
    await call(traceId)
    if (jaeger !== undefined) {
      const search = await searchTrace(jaeger, traceId)
      asks += search.asks
      if (search.foundMs === undefined) missing += 1
      else found.push(search.foundMs)
    }
    await delay(pauseMs)
  }
  connection.close()
  return { latencyMs: latencyOf(Float64Array.from(found)), probes, asks, missing }
}

async function searchTrace(
  jaeger: JaegerQuery,
  traceId: string,
): Promise<{ foundMs: number | undefined; asks: number }> {
  const answeredMs = performance.now()
  for (let asks = 1; ; asks += 1) {
    const isThere = missingSpans(await jaeger.trace(traceId)) === 0
    const foundMs = performance.now() - answeredMs
    if (isThere) return { foundMs, asks }
    if (foundMs > LIMIT_MS) return { foundMs: undefined, asks }
    await delay(Math.max(ASK_AGAIN_MS, foundMs * ASK_AGAIN_SHARE))
  }
}

/** Number of spans missing in the trace of a call. */
export function missingSpans(spans: readonly Span[]): number {
  const there = new Set(spans.map(({ service, name }) => `${service}: ${name}`))
  return WHOLE.filter((span) => !there.has(span)).length
}
