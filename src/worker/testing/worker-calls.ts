// Calls a worker as the controller does: POST /execute over a connection with the controller's identity.
import { randomUUID } from 'node:crypto'
import type { Dispatcher, Pool } from 'undici'
import { formatIdempotencyKey } from '../../core/idempotency-key.ts'
import { DEFAULT_TIMEOUT_MS, HEADERS } from '../../core/wire.ts'
import { parseEvents } from '../sse.ts'
import type { StreamEvent } from '../stream-event.ts'

export type TestCall = {
  /** SPIFFE ID of the caller; default `spiffe://crank.local/worker/caller`. */
  readonly caller?: string
  /** Content type of a payload of bytes; default `application/octet-stream`. */
  readonly contentType?: string
  readonly timeoutMs?: number
  readonly idempotencyKey?: string
  readonly lastEventId?: string
  /** Closes the connection when it aborts. */
  readonly signal?: AbortSignal
}

/** `body`: parsed if it is JSON, else its bytes. */
export type TestReply = { readonly status: number; readonly contentType: string; readonly body: unknown }

export type WorkerCalls = {
  /** Calls a capability, `verb:name`. The payload is sent as JSON, or unchanged if it is bytes. */
  readonly call: (capability: string, payload?: unknown, options?: TestCall) => Promise<TestReply>
  /** The events of a streaming capability. @throws {Error} when the worker refuses the call. */
  readonly events: (capability: string, payload?: unknown, options?: TestCall) => AsyncGenerator<StreamEvent, void>
}

const CALLER = 'spiffe://crank.local/worker/caller'

/** `pool` is connected to the worker. */
export function createCalls(pool: Pool): WorkerCalls {
  return {
    async call(capability, payload, options) {
      const answer = await pool.request(requestOf(capability, payload, options))
      return { status: answer.statusCode, contentType: contentTypeOf(answer), body: await read(answer) }
    },
    async *events(capability, payload, options) {
      const answer = await pool.request(requestOf(capability, payload, options))
      if (answer.statusCode !== 200) {
        throw new Error(`${capability}: status ${answer.statusCode}, ${JSON.stringify(await read(answer))}`)
      }
      for await (const { event, id, data } of parseEvents(answer.body)) {
        yield { data: JSON.parse(data) as unknown, event, ...(id !== undefined && { id }) }
      }
    },
  }
}

function requestOf(capability: string, payload: unknown, options: TestCall = {}): Dispatcher.RequestOptions {
  const isBytes = payload instanceof Uint8Array
  const headers: Record<string, string> = {
    [HEADERS.capability]: capability,
    [HEADERS.caller]: options.caller ?? CALLER,
    [HEADERS.crankDecisionId]: randomUUID(),
    [HEADERS.deadlineMs]: String(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    'content-type': isBytes ? (options.contentType ?? 'application/octet-stream') : 'application/json',
  }
  if (options.idempotencyKey !== undefined) {
    headers[HEADERS.idempotencyKey] = formatIdempotencyKey(options.idempotencyKey)
  }
  if (options.lastEventId !== undefined) headers[HEADERS.lastEventId] = options.lastEventId
  const body = isBytes ? payload : JSON.stringify(payload ?? null)
  return { method: 'POST', path: '/execute', headers, body, signal: options.signal ?? null }
}

async function read(answer: Dispatcher.ResponseData): Promise<unknown> {
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  return /^application\/json *(;|$)/i.test(contentTypeOf(answer)) ? (JSON.parse(bytes.toString()) as unknown) : bytes
}

function contentTypeOf({ headers }: Dispatcher.ResponseData): string {
  return [headers['content-type']].flat()[0] ?? ''
}
