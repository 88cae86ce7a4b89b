// The fake controller of @crank/worker/testing, as a test of a worker uses it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import Type from 'typebox'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { capabilityError } from '../../src/worker/call-error.ts'
import { ByteInput, ByteOutput, defineCapability, defineWorker } from '../../src/worker/define.ts'
import { InvokeError } from '../../src/worker/invoke.ts'
import type { StreamEvent } from '../../src/worker/stream-event.ts'
import { refusal, startTestController, type TestController } from '../../src/worker/testing/test-controller.ts'
import { greeter } from '../fixtures/greeter.ts'

const Text = Type.Object({ text: Type.String() })
const common = { version: '1.0.0', input: Text, output: Text } as const

const shout = defineCapability({
  ...common,
  verb: 'shout',
  name: 'text',
  errors: { EMPTY: { description: 'Nothing to shout.', retryable: false, status: 422 } },
  handler: ({ input, caller, log }) => {
    log.info({ event: 'shouting' }, 'shouting')
    if (input.text === '') throw capabilityError('EMPTY', 'nothing to shout')
    return { text: `${input.text.toUpperCase()} by ${caller}` }
  },
})
const count = defineCapability({
  ...common,
  verb: 'count',
  name: 'words',
  streaming: true,
  handler: async function* ({ input, lastEventId }) {
    for (const word of input.text.split(' '))
      yield await Promise.resolve({ data: { text: word }, id: lastEventId ?? '-' })
  },
})
const bytes = defineCapability({
  verb: 'reverse',
  name: 'bytes',
  version: '1.0.0',
  input: ByteInput,
  output: ByteOutput,
  handler: async ({ input }) => ({
    contentType: input.contentType ?? 'none',
    body: Buffer.from(await text(input.stream)).reverse(),
  }),
})
const worker = defineWorker({ id: 'worker-parrot', capabilities: [shout, count, bytes] })

describe('calls of the worker', () => {
  let controller: TestController
  beforeEach(async () => {
    controller = await startTestController()
  })
  afterEach(() => controller.close())

  test('are answered over mTLS, with the caller that the test names', async () => {
    const parrot = await controller.run(worker)
    expect(parrot.workerId).toBe('worker-parrot')
    const options = { caller: 'spiffe://crank.local/worker/ada' }
    expect(await parrot.call('shout:text', { text: 'hi' }, options)).toEqual({
      status: 200,
      contentType: 'application/json; charset=utf-8',
      body: { text: 'HI by spiffe://crank.local/worker/ada' },
    })
    expect(parrot.logged().map(({ event }) => event)).toContain('shouting')
  })

  test('that fail give the status and the code that a caller would get', async () => {
    const parrot = await controller.run(worker)
    expect(await parrot.call('shout:text', { text: '' })).toMatchObject({ status: 422, body: { error: 'EMPTY' } })
    expect(await parrot.call('shout:text', {})).toMatchObject({ status: 400, body: { error: 'INVALID_INPUT' } })
    expect(await parrot.call('sing:text', {})).toMatchObject({ status: 404, body: { error: 'CAPABILITY_UNKNOWN' } })
  })

  test('stream events, and resume', async () => {
    const parrot = await controller.run(worker)
    const events = await collect(parrot.events('count:words', { text: 'a b' }, { lastEventId: '7' }))
    expect(events).toEqual(['a', 'b'].map((word) => ({ event: 'message', id: '7', data: { text: word } })))
    await expect(collect(parrot.events('count:words', {}))).rejects.toThrow(/count:words: status 400, .*INVALID_INPUT/)
  })

  test('take and give bytes', async () => {
    const parrot = await controller.run(worker)
    const answer = await parrot.call('reverse:bytes', Buffer.from('abc'), { contentType: 'text/x' })
    expect(answer).toEqual({ status: 200, contentType: 'text/x', body: Buffer.from('cba') })
  })

  test('reach the worker under its own state folder, if it is made by a function', async () => {
    let folder = ''
    const parrot = await controller.run(({ stateDir }) => {
      folder = stateDir
      return worker
    })
    expect(await parrot.call('shout:text', { text: 'x' })).toMatchObject({ status: 200 })
    expect(folder).toMatch(/\/state$/)
  })
})

describe('what the worker invokes', () => {
  const asked = { content: 'Ada' }

  test('is answered from the table, and noted', async () => {
    await using controller = await startTestController({
      answers: {
        'invoke:hello_world': ({ payload }: { payload: { message: string } }) => ({ greeting: payload.message }),
      },
    })
    const tested = await controller.run(greeter)
    expect(await collect(tested.events('stream:text_events', asked))).toMatchObject([{ data: { greeting: 'Ada' } }])
    expect(controller.invoked).toMatchObject([{ capability: 'invoke:hello_world', payload: { message: 'Ada' } }])
  })

  test.each([
    [
      'a refusal of the table',
      { 'invoke:hello_world': refusal(403, 'capability_access_denied', 'not you') },
      403,
      'not you',
    ],
    ['no answer in the table', {}, 404, 'this test has no answer for invoke:hello_world'],
    [
      'an answer that throws',
      { 'invoke:hello_world': () => Promise.reject(new Error('oh')) },
      502,
      'failed: Error: oh',
    ],
  ])('gets %s as InvokeError', async (_what, answers, status, reason) => {
    const caught = Promise.withResolvers<unknown>()
    const asking = defineCapability({
      ...common,
      verb: 'ask',
      name: 'around',
      requires: ['invoke:hello_world'],
      handler: async ({ invoke }) => {
        await invoke('invoke:hello_world', {}).catch(caught.resolve)
        return { text: '' }
      },
    })
    await using controller = await startTestController({ answers })
    const tested = await controller.run(defineWorker({ id: 'worker-asking', capabilities: [asking] }))
    await tested.call('ask:around', { text: '' })
    const error = await caught.promise
    expect(error).toBeInstanceOf(InvokeError)
    expect(error).toMatchObject({ status, message: expect.stringContaining(reason) })
  })

  test('may be a stream of events', async () => {
    const relay = defineCapability({
      ...common,
      verb: 'relay',
      name: 'words',
      streaming: true,
      requires: ['count:words'],
      handler: async function* ({ invoke }) {
        for await (const { data } of invoke.events('count:words', {})) yield { data: data as { text: string } }
      },
    })
    const words = async function* (): AsyncGenerator<StreamEvent> {
      for (const word of ['a', 'b']) yield await Promise.resolve({ data: { text: word } })
    }
    await using controller = await startTestController({ answers: { 'count:words': words } })
    const tested = await controller.run(defineWorker({ id: 'worker-relay', capabilities: [relay] }))
    expect(await collect(tested.events('relay:words', { text: '' }))).toMatchObject([
      { data: { text: 'a' } },
      { data: { text: 'b' } },
    ])
  })
})

test('close leaves nothing behind: no worker, no port, no certificate', async () => {
  const closed: string[] = []
  let stateDir = ''
  const controller = await startTestController()
  const parrot = await controller.run((place) => {
    stateDir = place.stateDir
    return defineWorker({ id: 'worker-parrot', capabilities: [shout], close: () => void closed.push('worker') })
  })
  expect(existsSync(join(stateDir, '../pki'))).toBe(true)
  await Promise.all([controller.close(), controller.close()])
  expect(closed).toEqual(['worker'])
  expect(existsSync(join(stateDir, '../pki'))).toBe(false)
  await expect(fetch(controller.url)).rejects.toThrow()
  await expect(parrot.call('shout:text', { text: 'x' })).rejects.toThrow()
})

async function collect(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  return Array.fromAsync(events)
}
