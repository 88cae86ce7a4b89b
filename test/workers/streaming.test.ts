import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { parseEvents, type RawEvent } from '../../src/worker/sse.ts'
import { createStreaming } from '../../src/workers/streaming.ts'
import { call, createTestWorker, start } from '../../scripts/lab/worker-calls.ts'

const NOON = Date.UTC(2026, 10, 24, 12)
const timestamp = '2026-11-24T12:00:00.000Z'

function createWorker() {
  return createTestWorker(createStreaming(() => NOON))
}

async function eventsOf(capability: string, payload: unknown, lastEventId?: string) {
  const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const answer = await call(await createWorker(), capability, payload, { headers })
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/event-stream' } })
  const parsed = Readable.from(parseEvents(Readable.from([Buffer.from(answer.text)]))).toArray()
  return ((await parsed) as RawEvent[]).map(({ id, data }) => ({ id, data: JSON.parse(data) as unknown }))
}

describe('stream:text_events', () => {
  test('cuts a text into events of so many words, the last one marked', async () => {
    const events = await eventsOf('stream:text_events', { content: 'one two\n three\tfour five', chunk_size: 2 })
    expect(events).toStrictEqual([
      { id: '0', data: { chunk_id: 0, content: 'one two', is_last: false, timestamp } },
      { id: '1', data: { chunk_id: 1, content: 'three four', is_last: false, timestamp } },
      { id: '2', data: { chunk_id: 2, content: 'five', is_last: true, timestamp } },
    ])
  })

  test('takes a hundred words for an event by default', async () => {
    const events = await eventsOf('stream:text_events', { content: 'word '.repeat(250) })
    expect(events).toHaveLength(3)
  })

  test('goes on after Last-Event-ID', async () => {
    const events = await eventsOf('stream:text_events', { content: 'a b c', chunk_size: 1 }, '1')
    expect(events.map(({ id }) => id)).toStrictEqual(['2'])
  })

  test('gives the words of any text in their order', async () => {
    const words = Array.from({ length: 1_000 }, (_, at) => `w${at}`)
    const events = await eventsOf('stream:text_events', { content: words.join(' '), chunk_size: 7 })
    expect(events.map(({ data }) => (data as { content: string }).content).join(' ')).toBe(words.join(' '))
  })

  test('gives its own sentence where no text is given', async () => {
    for (const input of [{}, null]) {
      expect((await eventsOf('stream:text_events', input)).map(({ data }) => data)).toMatchObject([
        { content: 'Every call through the controller is decided, recorded and only then made.', is_last: true },
      ])
    }
  })

  for (const input of [
    [],
    'text',
    { content: null },
    { content: '' },
    { content: ' \n ' },
    { content: 'a', chunk_size: 0 },
  ]) {
    test(`refuses ${JSON.stringify(input)}`, async () => {
      const answer = await call(await createWorker(), 'stream:text_events', input)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ error: 'INVALID_INPUT' })
    })
  }
})

describe('stream:sse_events', () => {
  test('gives numbered events up to the count', async () => {
    const events = await eventsOf('stream:sse_events', { interval_ms: 1, count: 3 })
    expect(events).toStrictEqual([
      { id: '1', data: { sequence: 1, is_last: false, timestamp } },
      { id: '2', data: { sequence: 2, is_last: false, timestamp } },
      { id: '3', data: { sequence: 3, is_last: true, timestamp } },
    ])
  })

  test('goes on after Last-Event-ID, or after last_event_id of the input', async () => {
    const input = { interval_ms: 1, count: 4, last_event_id: '3' }
    expect((await eventsOf('stream:sse_events', input, '2')).map(({ id }) => id)).toStrictEqual(['3', '4'])
    expect((await eventsOf('stream:sse_events', input)).map(({ id }) => id)).toStrictEqual(['4'])
    expect(await eventsOf('stream:sse_events', input, '4')).toStrictEqual([])
  })

  test('stops when the caller leaves, in the middle of an interval', async () => {
    const left = new AbortController()
    const worker = await createWorker()
    const answer = await start(worker, 'stream:sse_events', { interval_ms: 60_000 }, { callerLeft: left.signal })
    const rest = (answer.body as Readable).toArray()
    setImmediate(() => left.abort())
    expect((await rest).join('')).toContain('"sequence":1')
    await worker.slots.idle()
  })
})
