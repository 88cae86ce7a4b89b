// Finds the trace of each call once it is complete.
import { DemoError } from './errors.ts'
import type { Jaeger } from './jaeger.ts'
import type { Results } from './results.ts'
import { waitFor } from './stop.ts'

/** `services`: the services with spans in it. */
export type FoundTrace = { readonly url: string; readonly spans: number; readonly services: readonly string[] }
/** Undefined: the trace was not complete in time. */
export type Traces = Readonly<Record<keyof typeof WANTED, FoundTrace | undefined>>

/** Spans arrive within milliseconds; a busy machine needs longer. */
const LIMIT_MS = 20_000
const DECIDED = ['crank-cli: invoke', 'crank-controller: POST /route', 'crank-controller: policy.evaluate']
/** The caller is the demo itself, with the client of the commands. */
const WANTED = {
  allowed: [...DECIDED, 'crank-controller: POST /execute', 'crank-worker-hello-world: worker_execute'],
  denied: DECIDED,
  streamed: [...DECIDED, 'crank-controller: POST /execute', 'crank-worker-streaming: worker_execute'],
} as const

/** Waits until Jaeger's query API returns each call's trace with every required span. */
export async function findTraces(jaeger: Jaeger, results: Results, stop: AbortSignal): Promise<Traces> {
  const withOpa = results.engine === 'opa-http' ? ['opa: '] : []
  const find = async (call: keyof typeof WANTED): Promise<FoundTrace | undefined> => {
    const { traceId } = results[call]
    const wanted = [...WANTED[call], ...withOpa]
    const ask = async (): Promise<FoundTrace | undefined> => {
      const spans = await jaeger.spansOf(traceId)
      if (!wanted.every((start) => spans.some((span) => span.startsWith(start)))) return undefined
      const services = [...new Set(spans.map((span) => span.replace(/: .*/, '')))].sort()
      return { url: jaeger.linkTo(traceId), spans: spans.length, services }
    }
    return waitFor(ask, { stop, limitMs: LIMIT_MS, give: () => 'not found' }).catch((cause: unknown) => {
      if (cause instanceof DemoError) return undefined
      throw cause
    })
  }
  return { allowed: await find('allowed'), denied: await find('denied'), streamed: await find('streamed') }
}

/** Whether all three were found. */
export function areFound(traces: Traces): boolean {
  return Object.values(traces).every((trace) => trace !== undefined)
}
