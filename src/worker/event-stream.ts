// A handler's events as the body of an answer, with back-pressure. Comments keep the connection alive; the end of the
// call ends the stream.
import { Readable } from 'node:stream'
import type { StreamEvent } from './stream-event.ts'
import { formatEvent, HEARTBEAT_COMMENT } from './sse.ts'

type EventSource = {
  readonly events: AsyncIterable<StreamEvent>
  /** Rejects when the call ends before its stream. */
  readonly ended: Promise<never>
  readonly heartbeatMs: number
  /** How long to wait for the first event before the answer begins. */
  readonly firstEventMs: number
  /** Throws for an event that does not fit the output schema. */
  readonly check: (event: StreamEvent) => void
  /** The event for the reader when the source fails after the answer has begun. */
  readonly toErrorEvent: (error: unknown) => StreamEvent
}

type Next = IteratorResult<StreamEvent, unknown>
const SILENCE = Symbol('silence')
type Wait = <T>(work: Promise<T>, ms: number) => Promise<T | typeof SILENCE>

/**
 * Waits briefly for the first event, so that a handler that fails at once still answers with a status. Rejects if it
 * fails.
 */
export async function openEventStream(source: EventSource): Promise<Readable> {
  const iterator = source.events[Symbol.asyncIterator]()
  const wait = createWait(source.ended)
  const first = next(iterator)
  try {
    const known = await wait(first, source.firstEventMs)
    if (known !== SILENCE && known.done !== true) source.check(known.value)
  } catch (error: unknown) {
    letGo(iterator)
    throw error
  }
  return Readable.from(encode(iterator, first, wait, source), { objectMode: true })
}

async function* encode(
  iterator: AsyncIterator<StreamEvent>,
  first: Promise<Next>,
  wait: Wait,
  source: EventSource,
): AsyncGenerator<string, void> {
  let pending = first
  try {
    for (;;) {
      const result = await wait(pending, source.heartbeatMs)
      if (result === SILENCE) {
        yield HEARTBEAT_COMMENT
        continue
      }
      if (result.done === true) return
      source.check(result.value)
      yield formatEvent(result.value)
      pending = next(iterator)
    }
  } catch (error: unknown) {
    yield formatEvent(source.toErrorEvent(error))
  } finally {
    letGo(iterator)
  }
}

function next(iterator: AsyncIterator<StreamEvent>): Promise<Next> {
  const result = iterator.next()
  // If the call ends first, nobody handles this failure.
  result.catch(() => undefined)
  return result
}

// Not awaited: a waiting generator returns only when its wait ends.
function letGo(iterator: AsyncIterator<StreamEvent>): void {
  void iterator.return?.().catch(() => undefined)
}

// One wait at a time. Not Promise.race: each race would leave a reaction on `ended` until the call ends.
function createWait(ended: Promise<never>): Wait {
  let over: { error: unknown } | undefined
  let interrupt: ((error: unknown) => void) | undefined
  ended.catch((error: unknown) => {
    over = { error }
    interrupt?.(error)
  })
  return async <T>(work: Promise<T>, ms: number) => {
    const first = Promise.withResolvers<T | typeof SILENCE>()
    const timer = setTimeout(() => first.resolve(SILENCE), ms)
    interrupt = first.reject
    if (over !== undefined) first.reject(over.error)
    work.then(first.resolve, first.reject)
    try {
      return await first.promise
    } finally {
      clearTimeout(timer)
    }
  }
}
