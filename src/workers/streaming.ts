// Streams: stream:text_events splits a text into events, stream:sse_events is a clock that can be resumed.
import { setImmediate as otherCalls, setTimeout as delay } from 'node:timers/promises'
import Type from 'typebox'
import { capabilityError } from '../worker/call-error.ts'
import { defineCapability, defineWorker, type WorkerDefinition } from '../worker/define.ts'

/** Used when a call has no content. */
const DEFAULT_CONTENT = 'Every call through the controller is decided, recorded and only then made.'
const DEFAULT_CHUNK_WORDS = 100
// A long text must not block other calls of the process.
const EVENTS_PER_TURN = 64
const DEFAULT_INTERVAL_MS = 5_000
const DEFAULT_COUNT = 12

const TextInput = Type.Object(
  {
    content: Type.Optional(
      Type.String({ minLength: 1, maxLength: 4_000_000, default: DEFAULT_CONTENT, description: 'The text to stream.' }),
    ),
    chunk_size: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, default: DEFAULT_CHUNK_WORDS, description: 'Words per event.' }),
    ),
  },
  { additionalProperties: false },
)
const TextEvent = Type.Object(
  {
    chunk_id: Type.Integer({ minimum: 0 }),
    content: Type.String(),
    is_last: Type.Boolean(),
    timestamp: Type.String({ format: 'date-time' }),
  },
  { additionalProperties: false },
)

const TickInput = Type.Object(
  {
    interval_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: 60_000, default: DEFAULT_INTERVAL_MS })),
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, default: DEFAULT_COUNT })),
    last_event_id: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,9}$',
        description: 'Resume after this event; the header Last-Event-ID takes precedence.',
      }),
    ),
  },
  { additionalProperties: false },
)
const Tick = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1 }),
    is_last: Type.Boolean(),
    timestamp: Type.String({ format: 'date-time' }),
  },
  { additionalProperties: false },
)

const errors = {
  INVALID_INPUT: { description: 'The input does not fit the schema, or has no words.', retryable: false, status: 400 },
  STREAM_FAILED: { description: 'The stream failed before its end.', retryable: true },
} as const

/** `now`: milliseconds since 1970, for the events' timestamps. */
export function createStreaming(now: () => number = Date.now): WorkerDefinition {
  const timestamp = () => new Date(now()).toISOString()

  const textEvents = defineCapability({
    verb: 'stream',
    name: 'text_events',
    version: '1.0.0',
    description: 'Streams a text in events of chunk_size words; the id of an event is its chunk_id.',
    input: TextInput,
    output: TextEvent,
    errors,
    streaming: true,
    slo: { p95_ms: 250 },
    tags: ['streaming', 'text'],
    handler: async function* ({ input, lastEventId, signal }) {
      const first = resumeAfter(lastEventId, -1)
      const chunks = chunksOf(input.content ?? DEFAULT_CONTENT, input.chunk_size ?? DEFAULT_CHUNK_WORDS)
      let chunk = chunks.next()
      if (chunk.done === true) throw capabilityError('INVALID_INPUT', 'input/content has no words')
      for (let chunk_id = 0; chunk.done !== true; chunk_id += 1) {
        const content = chunk.value
        chunk = chunks.next()
        if (chunk_id < first) continue
        if (chunk_id % EVENTS_PER_TURN === 0) await otherCalls(undefined, { signal })
        yield {
          id: String(chunk_id),
          data: { chunk_id, content, is_last: chunk.done === true, timestamp: timestamp() },
        }
      }
    },
  })

  const sseEvents = defineCapability({
    verb: 'stream',
    name: 'sse_events',
    version: '1.0.0',
    description: 'Sends one event now and one after each interval, numbered from 1; resumes after Last-Event-ID.',
    input: TickInput,
    output: Tick,
    errors,
    streaming: true,
    slo: { p95_ms: 250 },
    tags: ['streaming'],
    handler: async function* ({ input, lastEventId, signal }) {
      const { count = DEFAULT_COUNT, interval_ms = DEFAULT_INTERVAL_MS } = input
      const first = resumeAfter(lastEventId ?? input.last_event_id, 0)
      for (let sequence = first; sequence <= count; sequence += 1) {
        // A resumed stream also waits one interval first, which keeps the pace.
        if (sequence > 1) await delay(interval_ms, undefined, { signal })
        yield { id: String(sequence), data: { sequence, is_last: sequence === count, timestamp: timestamp() } }
      }
    },
  })

  return defineWorker({
    id: 'worker-streaming',
    capabilities: [textEvents, sseEvents],
    // The examples greet under the identity of this worker.
    requires: ['invoke:hello_world'],
  })
}

/** Number of the next event: one after `id`, or after `none` when there is no valid id. */
function resumeAfter(id: string | undefined, none: number): number {
  return 1 + (id !== undefined && /^[0-9]{1,9}$/.test(id) ? Number(id) : none)
}

function* chunksOf(text: string, words: number): Generator<string, void> {
  let chunk: string[] = []
  for (const [word] of text.matchAll(/\S+/g)) {
    chunk.push(word)
    if (chunk.length < words) continue
    yield chunk.join(' ')
    chunk = []
  }
  if (chunk.length > 0) yield chunk.join(' ')
}
