// One call through the streaming form of /route: the body goes to stdout as it arrives, its metadata to stderr.
import { text } from 'node:stream/consumers'
import { splitCapability, type Capability } from '../core/capability.ts'
import { LABEL_WORD, MAX_TIMEOUT_MS, type CapabilitiesReply, type RouteBody } from '../core/wire.ts'
import type { ControllerClient, RouteAnswer } from '../worker/controller-client.ts'
import { parseEvents, type RawEvent } from '../worker/sse.ts'
import { readClientConfig } from './client-config.ts'
import { withControllerClient } from './controller-client.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import type { ClientOptions } from './options.ts'
import { paint, say, writeBody, writeJson, type Format } from './output.ts'
import { parseJson, readPayload, type PayloadOptions } from './payload.ts'
import { didYouMean } from './policy-ask/likeness.ts'
import { parseTarget, type Words } from './policy-ask/question.ts'
import { environment } from './environment.ts'

type InvokeOptions = ClientOptions &
  PayloadOptions & {
    timeoutMs?: string | undefined
    idempotencyKey?: string | undefined
    priority?: 'low' | 'normal' | 'high' | undefined
    workerVersion?: string | undefined
    prefer?: string[] | undefined
    require?: string[] | undefined
    output: Format
  }

/** Denied, unknown, or without a worker: a mistyped name can cause each of these. */
const REFUSED = new Set([403, 404, 503])

/** Calls and prints. `negative` for every answer of 400 and above. */
export async function invoke(words: Words, options: InvokeOptions): Promise<ExitCode> {
  const called = parseTarget(words)
  const { verb, name } = splitCapability(called)
  const config = readClientConfig(options, environment())
  const body: RouteBody = { verb, capability: name, ...(await readRequest(options)) }
  return withControllerClient(config, Date.now, async (client, caller) => {
    const answer = await client.route(body)
    if (options.output === 'json') {
      say(`trace ${answer.traceId ?? '-'}`)
      writeJson({ ...summarise(answer), ...(await readBody(answer)) })
    } else await printAnswer(answer, caller)
    if (REFUSED.has(answer.status)) await sayMeant(client, called)
    return answer.status < 400 ? EXIT.ok : EXIT.negative
  })
}

/** The whole body: the events of an event stream, parsed JSON, or else text. */
async function readBody(answer: RouteAnswer): Promise<{ body: unknown } | { events: RawEvent[] }> {
  if (isEventStream(answer)) {
    const events: RawEvent[] = []
    for await (const event of parseEvents(answer.body)) events.push(event)
    return { events }
  }
  const content = await text(answer.body)
  return { body: parseJson(content) ?? content }
}

/** Whether the answer is a stream of server-sent events. */
function isEventStream(answer: RouteAnswer): boolean {
  return answer.contentType.startsWith('text/event-stream')
}

function summarise({ status, decisionId, traceId, workerId }: RouteAnswer) {
  return { status, decision_id: decisionId ?? null, trace_id: traceId ?? null, worker_id: workerId ?? null }
}

/**
 * If no worker offers the capability, says so and suggests a similar name. Faults here are ignored, since it is only a
 * hint.
 */
async function sayMeant(client: ControllerClient, called: Capability): Promise<void> {
  const reply = await client.get('/capabilities').catch(() => undefined)
  if (reply?.status !== 200) return
  const live = (reply.body as CapabilitiesReply).capabilities.map(({ capability }) => capability)
  if (!live.includes(called)) say(`no live worker offers ${called}${didYouMean(called, live)}`)
}

async function readRequest(options: InvokeOptions): Promise<Partial<RouteBody>> {
  const payload = await readPayload(options)
  return {
    ...(payload !== undefined && { payload }),
    ...(options.timeoutMs !== undefined && { timeout_ms: parseTimeout(options.timeoutMs) }),
    ...(options.idempotencyKey !== undefined && { idempotency_key: options.idempotencyKey }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.workerVersion !== undefined && { version: options.workerVersion }),
    ...(options.prefer !== undefined && { prefer: parseLabels('--prefer', options.prefer) }),
    ...(options.require !== undefined && { require: parseLabels('--require', options.require) }),
  }
}

function parseTimeout(value: string): number {
  const ms = /^\d{1,9}$/.test(value) ? Number(value) : 0
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms
  throw new CliError(EXIT.usage, `--timeout-ms "${value}": must be an integer from 1 to ${MAX_TIMEOUT_MS}`)
}

const LABEL = new RegExp(LABEL_WORD)

function parseLabels(option: string, given: readonly string[]): Record<string, string> {
  const labels = given.map((text): [string, string] => {
    const [name = '', value = '', ...rest] = text.split('=')
    if (rest.length === 0 && LABEL.test(name) && LABEL.test(value)) return [name, value]
    throw new CliError(EXIT.usage, `${option} "${text}": must be a label such as zone=eu`)
  })
  return Object.fromEntries(labels)
}

async function printAnswer(answer: RouteAnswer, caller: string): Promise<void> {
  const { status, decision_id, trace_id, worker_id } = summarise(answer)
  say(`${paint(status < 400 ? 'green' : 'red', String(status), process.stderr)}  as ${caller}`)
  say(`decision ${decision_id ?? '-'}  trace ${trace_id ?? '-'}  worker ${worker_id ?? '-'}`)
  await writeBody(answer.body as AsyncIterable<Buffer>)
}
