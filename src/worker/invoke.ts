// Lets a handler call another capability: through the controller, in the same trace, within the time of its own call.
import { SpanKind, SpanStatusCode, type Span } from '@opentelemetry/api'
import { parseCapability, splitCapability } from '../core/capability.ts'
import type { RouteBody } from '../core/wire.ts'
import { onwardTrace, startSpan } from '../platform/tracing/tracing.ts'
import type { Tracing } from '../platform/tracing/tracing-port.ts'
import { RuntimeError } from './call-error.ts'
import { answerAttributes, type ControllerClient, type RouteAnswer } from './controller-client.ts'
import { readText } from './controllers/read-text.ts'
import { parseEvents } from './sse.ts'
import type { StreamEvent } from './stream-event.ts'

export type InvokeOptions = {
  /** At most one call with this key is executed within an hour; a repetition gets its answer. 1-128 printable ASCII characters. */
  readonly idempotencyKey?: string
  readonly priority?: 'low' | 'normal' | 'high'
  /** Time to the first byte of the answer; at most 300,000. */
  readonly timeoutMs?: number
  /** Only workers whose version satisfies this constraint, such as `^1.2`. */
  readonly version?: string
  /** Workers with these labels first. */
  readonly prefer?: Readonly<Record<string, string>>
  /** Only workers with these labels. */
  readonly require?: Readonly<Record<string, string>>
  /** Ends the call earlier than the handler's own signal. */
  readonly signal?: AbortSignal
  /** Resumes a broken event stream after this event. */
  readonly lastEventId?: string
}

/** The name of a capability in code, such as `convert:email_to_text`. */
export type CapabilityName = `${string}:${string}`

/**
 * Calls the capabilities in `requires`, and no others. Both forms throw InvokeError for an answer other than 2xx, and Error
 * when the controller does not answer.
 */
export type Invoke<R extends CapabilityName = never> = {
  /** The JSON answer; undefined for an empty one. */
  (capability: R, payload?: unknown, options?: InvokeOptions): Promise<unknown>
  /** The events of a streaming capability, as they arrive. */
  readonly events: (capability: R, payload?: unknown, options?: InvokeOptions) => AsyncIterable<StreamEvent>
}
/** With the names erased. */
export type AnyInvoke = Invoke<CapabilityName>

/** The call was refused or failed. `code` is the controller's error code, or the worker's own. */
export class InvokeError extends Error {
  override readonly name = 'InvokeError'
  readonly status: number
  readonly code: string
  readonly decisionId: string | undefined
  constructor(
    capability: string,
    code: string,
    reason: string,
    answer: { status: number; decisionId: string | undefined },
  ) {
    super(`${capability}: ${reason}`)
    this.status = answer.status
    this.code = code
    this.decisionId = answer.decisionId
  }
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024

type Target = { capability: CapabilityName; payload: unknown; options: InvokeOptions }

/** The call that makes other calls: their spans are its children, and its signal ends them. */
export type InvokingCall = {
  readonly span: Span
  readonly signal: AbortSignal
  readonly tracestate: string | undefined
  /** Says on behalf of which call the others are made. */
  readonly chain: string | undefined
}

/**
 * An `invoke` that throws CAPABILITY_NOT_DECLARED, and sends nothing, for a capability outside of `requires`. For handlers
 * that the compiler has not checked: plain JavaScript, and names computed at run time.
 */
export function onlyRequired(
  invoke: AnyInvoke,
  { handlerOf, requires }: { readonly handlerOf: string; readonly requires: readonly string[] },
): AnyInvoke {
  const check = (capability: string): void => {
    if (requires.includes(capability)) return
    const reason = `the handler of ${handlerOf} calls ${capability}: add this name to its requires`
    throw new RuntimeError('CAPABILITY_NOT_DECLARED', reason)
  }
  const checked = async (capability: CapabilityName, payload?: unknown, options?: InvokeOptions) => {
    check(capability)
    return invoke(capability, payload, options)
  }
  const events = (capability: CapabilityName, payload?: unknown, options?: InvokeOptions) => {
    check(capability)
    return invoke.events(capability, payload, options)
  }
  return Object.assign(checked, { events })
}

/** Creates the `invoke` of one call. */
export function createInvoke(client: ControllerClient, tracing: Tracing, call: InvokingCall): AnyInvoke {
  const invoke = async (capability: CapabilityName, payload?: unknown, options: InvokeOptions = {}) => {
    const target = { capability, payload, options }
    const span = startInvoke(target)
    try {
      const { body } = await answered(target, span)
      const text = await readText(body, MAX_ANSWER_BYTES)
      return text === '' ? undefined : (JSON.parse(text) as unknown)
    } catch (error: unknown) {
      fail(span, error)
      throw error
    } finally {
      span.end()
    }
  }
  return Object.assign(invoke, { events })

  async function* events(
    capability: CapabilityName,
    payload?: unknown,
    options: InvokeOptions = {},
  ): AsyncGenerator<StreamEvent, void> {
    const target = { capability, payload, options }
    const span = startInvoke(target)
    let answer: RouteAnswer | undefined
    try {
      answer = await answered(target, span)
      for await (const { event, id, data } of parseEvents(answer.body)) {
        const value = JSON.parse(data) as unknown
        if (event === 'error') throw toError(capability, answer, value)
        yield { data: value, event, ...(id !== undefined && { id }) }
      }
    } catch (error: unknown) {
      fail(span, error)
      throw error
    } finally {
      answer?.body.destroy()
      // Not earlier: the spans of the other parties for the stream are below this one.
      span.end()
    }
  }

  function startInvoke({ capability }: Target): Span {
    return startSpan(tracing.tracer, 'invoke', SpanKind.CLIENT, call.span, { 'crank.capability': capability })
  }

  /** Returns a 2xx answer. */
  async function answered(target: Target, span: Span): Promise<RouteAnswer> {
    const answer = await send({ client, call }, target, span)
    span.setAttributes(answerAttributes(answer))
    if (answer.status >= 200 && answer.status < 300) return answer
    throw toError(target.capability, answer, await readProblem(answer))
  }
}

type Sender = { readonly client: ControllerClient; readonly call: InvokingCall }

function send({ client, call }: Sender, target: Target, span: Span): Promise<RouteAnswer> {
  const { payload, options } = target
  const { version, prefer, require } = options
  const { verb, name: capability } = splitCapability(parseCapability(target.capability))
  const { signal, tracestate, chain } = call
  const body: RouteBody = {
    verb,
    capability,
    ...(payload !== undefined && { payload }),
    ...(options.idempotencyKey !== undefined && { idempotency_key: options.idempotencyKey }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.timeoutMs !== undefined && { timeout_ms: options.timeoutMs }),
    ...(version !== undefined && { version }),
    ...(prefer !== undefined && { prefer: { ...prefer } }),
    ...(require !== undefined && { require: { ...require } }),
  }
  const trace = onwardTrace(span)
  return client.route(body, {
    ...(trace !== undefined && { trace }),
    signal: options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]),
    ...(tracestate !== undefined && { tracestate }),
    ...(chain !== undefined && { chain }),
    ...(options.lastEventId !== undefined && { lastEventId: options.lastEventId }),
  })
}

// A refusal is an ordinary answer, in every span of a trace.
function fail(span: Span, error: unknown): void {
  if (error instanceof InvokeError) span.setAttribute('error.type', error.code)
  if (!(error instanceof InvokeError) || error.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
}

async function readProblem({ body }: RouteAnswer): Promise<unknown> {
  const text = await readText(body, MAX_ANSWER_BYTES)
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

// The controller's text is in `reason`, a worker's in `message`; both have the code in `error`.
function toError(name: string, answer: RouteAnswer, problem: unknown): InvokeError {
  const { error, reason, message } = (problem ?? {}) as Record<string, unknown>
  const text = [reason, message].find((value) => typeof value === 'string') ?? `answered with status ${answer.status}`
  return new InvokeError(name, typeof error === 'string' ? error : 'unknown', text, answer)
}
