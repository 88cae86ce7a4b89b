// The reference worker: invoke:hello_world greets. It uses every optional member of a capability's description.
import Type from 'typebox'
import { defineCapability, defineWorker, type WorkerDefinition } from '../worker/define.ts'
import { startStopwatch } from '../worker/stopwatch.ts'

const Input = Type.Object(
  {
    message: Type.String({ minLength: 1, maxLength: 1000, description: 'Whom or what to greet.' }),
    options: Type.Optional(
      Type.Object(
        {
          uppercase: Type.Optional(Type.Boolean({ default: false })),
          reverse: Type.Optional(Type.Boolean({ default: false })),
          exclamations: Type.Optional(Type.Integer({ minimum: 0, maximum: 10, default: 1 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

const Output = Type.Object(
  {
    greeting: Type.String(),
    metadata: Type.Object(
      {
        total_greetings: Type.Integer({ minimum: 1, description: 'Greetings of this process so far.' }),
        options_applied: Type.Array(Type.String()),
        character_count: Type.Integer({
          minimum: 0,
          description: 'Length of the greeting, in characters as a reader counts them.',
        }),
      },
      { additionalProperties: false },
    ),
    processing_time_ms: Type.Number({ minimum: 0 }),
  },
  { additionalProperties: false },
)

/** `monotonic`: milliseconds, for processing_time_ms. */
export function createHelloWorld(monotonic: () => number = () => performance.now()): WorkerDefinition {
  let total = 0
  const helloWorld = defineCapability({
    verb: 'invoke',
    name: 'hello_world',
    version: '1.0.0',
    description: 'Greets, in upper case, backwards or with more exclamation marks where asked.',
    input: Input,
    output: Output,
    errors: { INVALID_INPUT: { description: 'The input does not fit the schema.', retryable: false, status: 400 } },
    max_concurrency: 256,
    requires_gpu: false,
    slo: { p50_ms: 50 },
    tags: ['example', 'reference'],
    estimated_duration_ms: 1,
    handler: ({ input }) => {
      const elapsedMs = startStopwatch(monotonic)
      const { uppercase = false, reverse = false, exclamations = 1 } = input.options ?? {}
      total += 1
      const greeting = `${shape(`Hello, ${input.message}`, { uppercase, reverse })}${'!'.repeat(exclamations)}`
      return {
        greeting,
        metadata: {
          total_greetings: total,
          options_applied: appliedOf({ uppercase, reverse, exclamations: exclamations !== 1 }),
          character_count: charactersOf(greeting).length,
        },
        processing_time_ms: elapsedMs(),
      }
    },
  })
  return defineWorker({ id: 'worker-hello-world', capabilities: [helloWorld] })
}

function shape(text: string, { uppercase, reverse }: { uppercase: boolean; reverse: boolean }): string {
  const cased = uppercase ? text.toUpperCase() : text
  return reverse ? charactersOf(cased).reverse().join('') : cased
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

// Graphemes: an accent stays on its letter, and an emoji is one character.
function charactersOf(text: string): string[] {
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

function appliedOf(options: Record<string, boolean>): string[] {
  return Object.keys(options).filter((name) => options[name] === true)
}
