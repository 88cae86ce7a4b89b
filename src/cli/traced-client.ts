// The workers' client with a span per request: the spans of the controller are its children.
import { finished } from 'node:stream'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'
import { NO_TLS_HINT, speaksNoTls } from '../platform/tls/no-tls.ts'
import { answerAttributes, type ControllerClient, type ControllerReply } from '../worker/controller-client.ts'
import { ControllersUnreachableError } from '../worker/controllers/fail-over.ts'
import type { ClientSpan, ClientSpans, SpanAttributes } from './client-span.ts'
import { CliError, EXIT, messageOf } from './exit.ts'
import { say } from './output.ts'

/** `urls`: of the controllers. */
type TracedClientOptions = {
  readonly client: ControllerClient
  readonly spans: ClientSpans
  readonly urls: readonly string[]
  readonly caller: SpiffeId
}

/**
 * Every request except a successful poll has its own trace; without an answer it fails with a CliError `unreachable`.
 */
export function createTracedClient({ client, spans, urls, caller }: TracedClientOptions): ControllerClient {
  // With several, the span names the one that answers.
  const [only, ...others] = urls
  const common = {
    ...(only !== undefined && others.length === 0 && serverOf(only)),
    'crank.requester': caller,
  }

  return {
    async route(body, options) {
      const span = spans.start('invoke', { ...common, 'crank.capability': `${body.verb}:${body.capability}` })
      const answer = await answered(span, client.route(body, { ...inTrace(span), ...options }))
      span.answered({ ...serverOf(answer.controller.url), ...answerAttributes(answer) })
      finished(answer.body, (cause) => {
        if (cause) span.failed(cause)
        span.end()
      })
      return answer
    },
    post: (path, body, options) => reply('POST', path, (trace) => client.post(path, body, { ...trace, ...options })),
    get: (path, options) => reply('GET', path, (trace) => client.get(path, { ...trace, ...options })),
    close: () => client.close(),
  }

  async function reply(
    method: string,
    path: string,
    send: (trace: { trace?: TraceContext }) => Promise<ControllerReply>,
  ): Promise<ControllerReply> {
    const attributes: SpanAttributes = { ...common, 'http.request.method': method }
    const span = spans.start(`${method} ${path}`, attributes)
    const got = await answered(span, send(inTrace(span)))
    span.answered({ ...serverOf(got.controller.url), 'http.response.status_code': got.status })
    if (method === 'GET' && got.status < 400) {
      span.drop()
      return got
    }
    if (method === 'GET') span.failed(got.status)
    span.end()
    sayTrace(span)
    return got
  }

  async function answered<T>(span: ClientSpan, request: Promise<T>): Promise<T> {
    try {
      return await request
    } catch (cause: unknown) {
      span.failed(cause)
      span.end()
      sayTrace(span)
      const noTls = speaksNoTls(cause)
      const what = noTls ? 'it answers without TLS' : messageOf(cause)
      // With several, the error names each.
      const text =
        cause instanceof ControllersUnreachableError ? what : `cannot reach the controller at ${only}: ${what}`
      throw new CliError(EXIT.unreachable, text, {
        cause,
        hint: noTls ? NO_TLS_HINT : 'is it running? See: crank check',
      })
    }
  }

  /** Useless if the trace is not kept. */
  function sayTrace({ trace }: ClientSpan): void {
    if (trace !== undefined) say(`trace ${trace.traceId}`)
  }
}

function serverOf(url: string): SpanAttributes {
  const { hostname, port } = new URL(url)
  return { 'server.address': hostname, 'server.port': Number(port === '' ? 443 : port) }
}

function inTrace({ trace }: ClientSpan): { trace?: TraceContext } {
  return trace === undefined ? {} : { trace }
}
