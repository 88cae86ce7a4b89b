// Checks that Jaeger has every span of a load: after the load, it queries each trace by its id.
import { setTimeout as delay } from 'node:timers/promises'
import type { JaegerQuery } from '../lab/jaeger-query.ts'
import { traceIdAt } from './request-bytes.ts'
import { sum } from './statistics.ts'
import { missingSpans, WHOLE } from './trace-probe.ts'

export type SpanCount = { readonly expected: number; readonly lost: number }

const AT_ONCE = 8
/** Longer than any batch waits. A span that is missing after this time is lost. */
const LIMIT_MS = 20_000
const AGAIN_MS = 500

/** Counts the spans of the traces 0 to `calls - 1` of a run. */
export async function countSpans(jaeger: JaegerQuery, run: string, calls: number): Promise<SpanCount> {
  const missing = new Map(Array.from({ length: calls }, (_, n) => [traceIdAt(run, n), WHOLE.length]))
  const expected = calls * WHOLE.length
  let lost = expected
  let progressMs = performance.now()
  while (lost > 0 && performance.now() - progressMs < LIMIT_MS) {
    await lookFor(jaeger, missing)
    const left = sum(missing.values())
    if (left < lost) progressMs = performance.now()
    lost = left
    if (lost > 0) await delay(AGAIN_MS)
  }
  return { expected, lost }
}

/** Removes complete traces from `missing`, and records how many spans the others lack. */
async function lookFor(jaeger: JaegerQuery, missing: Map<string, number>): Promise<void> {
  const ids = [...missing.keys()]
  const lookOn = async (): Promise<void> => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      const lacking = missingSpans(await jaeger.trace(id))
      if (lacking === 0) missing.delete(id)
      else missing.set(id, lacking)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lookOn))
}
