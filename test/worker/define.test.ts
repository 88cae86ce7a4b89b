import Type from 'typebox'
import { describe, expect, test } from 'vitest'
import { defineCapability, DefinitionError, defineWorker } from '../../src/worker/define.ts'

const Text = Type.Object({ text: Type.String() })
const base = { verb: 'echo', name: 'text', version: '1.2.3', input: Text, output: Text, handler: () => ({ text: '' }) }
const echo = defineCapability(base)

describe('a capability', () => {
  test('becomes the description that goes over the wire', () => {
    const described = defineCapability({
      ...base,
      description: 'Says it again.',
      errors: { TOO_LOUD: { description: 'Too loud.', retryable: true, status: 503 } },
      max_concurrency: 3,
      slo: { p95_ms: 20 },
      tags: ['demo'],
      retrySafe: true,
    })
    expect(described.capability).toBe('echo:text')
    expect(described.schema).toStrictEqual({
      verb: 'echo',
      name: 'text',
      version: '1.2.3',
      description: 'Says it again.',
      input_schema: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
      output_schema: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
      error_codes: [
        { code: 'TOO_LOUD', description: 'Too loud.', retryable: true },
        { code: 'INVALID_INPUT', description: 'the input does not fit input_schema', retryable: false },
      ],
      max_concurrency: 3,
      slo: { p95_ms: 20 },
      tags: ['demo'],
      retry_safe: true,
    })
  })

  test('declares its own code for wrong input in place of INVALID_INPUT', () => {
    const errors = { BAD_TEXT: { description: 'No text.', retryable: false } }
    const { schema } = defineCapability({ ...base, errors, invalidInput: 'BAD_TEXT' })
    expect(schema.error_codes?.map(({ code }) => code)).toStrictEqual(['BAD_TEXT'])
  })

  const faults: Record<string, [object, RegExp]> = {
    'a verb in upper case': [{ verb: 'Echo' }, /verb must match pattern/],
    'a name with a dash': [{ name: 'to-text' }, /name must match pattern/],
    'a version that is not semver': [{ version: '1.2' }, /version must match pattern/],
    'a schema without a type': [{ input: Type.Union([Text, Text]) }, /must have a "type"/],
    'an error code with a blank': [
      { errors: { 'TOO LOUD': { description: 'x', retryable: true } } },
      /error_codes\/0\/code must match/,
    ],
    'an error status that is none': [
      { errors: { A: { description: 'x', retryable: true, status: 200 } } },
      /errors\.A\.status must be from 400 to 599/,
    ],
    'an undeclared code for wrong input': [{ invalidInput: 'NOPE' }, /"NOPE" is not declared in errors/],
    'a requirement without a verb': [{ requires: ['hello'] }, /requires: "hello" is not of the form verb:name/],
    'an empty slo': [{ slo: {} }, /slo must NOT have fewer than 1 properties/],
    'metadata nobody knows': [{ colour: 'red' }, /must NOT have additional properties \("colour"\)/],
  }
  for (const [what, [change, message]] of Object.entries(faults)) {
    test(`refuses ${what}`, () => {
      const define = () => defineCapability({ ...base, ...change })
      expect(define).toThrow(DefinitionError)
      expect(define).toThrow(message)
    })
  }
})

describe('a worker', () => {
  test('holds its capabilities and what it requires', () => {
    const worker = defineWorker({ id: 'worker-echo', capabilities: [echo], requires: ['invoke:hello_world'] })
    expect(worker).toMatchObject({ id: 'worker-echo', requires: ['echo:text', 'invoke:hello_world'] })
    expect(worker.capabilities).toStrictEqual([echo])
    expect(worker).not.toHaveProperty('weight')
    const placed = { labels: { zone: 'eu' }, weight: 100 }
    expect(defineWorker({ id: 'worker-echo', capabilities: [echo], ...placed })).toMatchObject(placed)
  })

  test('requires what its capabilities require, each once', () => {
    const requires = ['z:z', 'a:a'] as const
    const one = defineCapability({ ...base, requires })
    const two = defineCapability({ ...base, name: 'other', requires })
    const worker = defineWorker({ id: 'worker-echo', capabilities: [one, two], requires: ['a:a'] })
    expect(worker.requires).toStrictEqual(['a:a', 'echo:other', 'echo:text', 'z:z'])
    expect(one.schema).not.toHaveProperty('requires')
  })

  const faults: Record<string, [Parameters<typeof defineWorker>[0], RegExp]> = {
    'an id with a dot, which is for instances': [{ id: 'worker.echo', capabilities: [echo] }, /id must match/],
    'a label in upper case': [{ id: 'worker-echo', capabilities: [echo], labels: { Zone: 'eu' } }, /labels/],
    'a weight of nothing': [{ id: 'worker-echo', capabilities: [echo], weight: 0 }, /weight must be >= 1/],
    'no capabilities': [{ id: 'worker-echo', capabilities: [] }, /at least one capability/],
    'the same capability twice': [{ id: 'worker-echo', capabilities: [echo, echo] }, /duplicate capability echo:text/],
    'a requirement that is not a capability': [
      { id: 'worker-echo', capabilities: [echo], requires: ['Hello:World'] },
      /requires: verb must be a lower-case word/,
    ],
  }
  for (const [what, [options, message]] of Object.entries(faults)) {
    test(`refuses ${what}`, () => {
      expect(() => defineWorker(options)).toThrow(message)
    })
  }
})
