import { describe, expect, test } from 'vitest'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { call, createTestWorker } from '../../scripts/lab/worker-calls.ts'

async function greet(input: unknown) {
  let clockMs = 0
  const worker = await createTestWorker(createHelloWorld(() => (clockMs += 2)))
  return call(worker, 'invoke:hello_world', input)
}

describe('invoke:hello_world', () => {
  test('greets', async () => {
    const answer = await greet({ message: 'Ada' })
    expect(answer.status).toBe(200)
    expect(answer.json()).toStrictEqual({
      greeting: 'Hello, Ada!',
      metadata: { total_greetings: 1, options_applied: [], character_count: 11 },
      processing_time_ms: 2,
    })
  })

  const options: Record<string, [object, string, string[]]> = {
    'in upper case': [{ uppercase: true }, 'HELLO, ADA É!', ['uppercase']],
    'backwards, accents in place': [{ reverse: true }, 'é adA ,olleH!', ['reverse']],
    'without an exclamation mark': [{ exclamations: 0 }, 'Hello, Ada é', ['exclamations']],
    'with all of it': [
      { uppercase: true, reverse: true, exclamations: 10 },
      'É ADA ,OLLEH!!!!!!!!!!',
      ['uppercase', 'reverse', 'exclamations'],
    ],
  }
  for (const [how, [chosen, greeting, applied]] of Object.entries(options)) {
    test(`greets ${how}`, async () => {
      const answer = await greet({ message: 'Ada é', options: chosen })
      expect(answer.json()).toMatchObject({ greeting, metadata: { options_applied: applied } })
    })
  }

  test('counts the greetings of its process', async () => {
    const worker = await createTestWorker(createHelloWorld())
    await call(worker, 'invoke:hello_world', { message: 'a' })
    const second = await call(worker, 'invoke:hello_world', { message: 'b' })
    expect(second.json()).toMatchObject({ metadata: { total_greetings: 2 } })
  })

  for (const input of [
    {},
    { message: '' },
    { message: 'a', options: { exclamations: 11 } },
    { message: 'a', shout: 1 },
  ]) {
    test(`refuses ${JSON.stringify(input)}`, async () => {
      const answer = await greet(input)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ error: 'INVALID_INPUT', retryable: false })
    })
  }
})
