// Jaeger beside the demo's mesh: started with observability/jaeger.yaml, then queried for the traces of the calls.
import { join } from 'node:path'
import { createJaegerQuery } from '../lab/jaeger-query.ts'
import { planJaeger, type JaegerPlan } from '../tools/jaeger-plan.ts'
import { findTool } from '../tools/native-tools.ts'
import { DemoError } from './errors.ts'
import type { Command } from './processes.ts'
import { waitFor } from './stop.ts'

/** Port of its UI and query API; a free one with `--port 0`. */
export const JAEGER_PORT = 16686

export type JaegerCommand = Command & { readonly plan: JaegerPlan }

/** A running Jaeger. */
export type Jaeger = {
  /** False if it was built from its Go module, whose UI is a placeholder page. */
  readonly hasUi: boolean
  readonly url: string
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly otlpUrl: string
  /** Link to a trace: in the UI, or else to the JSON of the API. */
  readonly linkTo: (traceId: string) => string
  /** The spans of a trace that have arrived, as `service: name`. */
  readonly spansOf: (traceId: string) => Promise<string[]>
}

const READY_MS = 60_000
const PLACEHOLDER = 'not the Jaeger UI'

/** Finds Jaeger, or builds it once; starts nothing. @throws {DemoError} that says how to install it */
export async function jaegerCommand(at: { stateDir: string; queryPort: number | undefined }): Promise<JaegerCommand> {
  const file = await findTool('jaeger').catch((cause: unknown) => {
    throw new DemoError(`--trace: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  })
  // There is no Tempo here: Jaeger drops the copies for it, with no other effect. There is no Grafana either.
  const places = { dir: join(at.stateDir, 'jaeger'), tempo: '127.0.0.1:1', queryPort: at.queryPort }
  const plan = await planJaeger({ ...places, links: false })
  return { name: 'jaeger', file, args: plan.args, env: plan.env, plan }
}

/** Resolves when it answers. @throws {DemoError} after a minute; AbortError when stopped */
export async function untilJaegerIsUp({ plan }: JaegerCommand, stop: AbortSignal): Promise<Jaeger> {
  const give = () => 'Jaeger did not start; see its log'
  await waitFor(() => isUp(plan.statusUrl), { stop, limitMs: READY_MS, give })
  const { queryUrl, otlpUrl } = plan
  const hasUi = !(await (await fetch(queryUrl)).text()).includes(PLACEHOLDER)
  const { trace } = createJaegerQuery(queryUrl)
  return {
    hasUi,
    url: queryUrl,
    otlpUrl,
    linkTo: (traceId) => `${queryUrl}${hasUi ? '/trace/' : '/api/traces/'}${traceId}`,
    spansOf: async (traceId) => (await trace(traceId)).map(({ service, name }) => `${service}: ${name}`),
  }
}

async function isUp(url: string): Promise<true | undefined> {
  const answer = await fetch(url).catch(() => undefined)
  await answer?.body?.cancel()
  return answer?.ok === true ? true : undefined
}
