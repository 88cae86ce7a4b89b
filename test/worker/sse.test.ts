import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatEvent, HEARTBEAT_COMMENT, parseEvents, type RawEvent } from '../../src/worker/sse.ts'

async function parse(...chunks: string[]): Promise<RawEvent[]> {
  return parseBytes(chunks.map((chunk) => Buffer.from(chunk)))
}

function parseBytes(chunks: Buffer[]): Promise<RawEvent[]> {
  return Readable.from(parseEvents(asyncOf(chunks))).toArray() as Promise<RawEvent[]>
}

// eslint-disable-next-line @typescript-eslint/require-await -- an array as an asynchronous source
async function* asyncOf<T>(values: T[]): AsyncGenerator<T> {
  yield* values
}

test('writes an event with its name, id and data on one line each', () => {
  expect(formatEvent({ event: 'tick', id: '7', data: { a: 'x\ny' } })).toBe(
    'event: tick\nid: 7\ndata: {"a":"x\\ny"}\n\n',
  )
})

test('an id cannot smuggle in a line of its own', () => {
  expect(formatEvent({ id: '1\ndata: forged', data: 1 })).toBe('id: 1data: forged\ndata: 1\n\n')
})

test('skips comments and joins several data lines', async () => {
  const events = await parse(HEARTBEAT_COMMENT, 'data: a\ndata:b\n\n', ':x\n', 'event: e\ndata\n\n')
  expect(events).toStrictEqual([
    { event: 'message', data: 'a\nb', id: undefined },
    { event: 'e', data: '', id: undefined },
  ])
})

for (const end of ['\n', '\r\n', '\r']) {
  test(`understands lines that end in ${JSON.stringify(end)}, cut anywhere`, async () => {
    const stream = `id: 1${end}data: "ä"${end}${end}data: 2${end}${end}data: unfinished`
    // A lone CR is known to be a line end only with the character behind it.
    for (let cut = 0; cut < stream.length; cut += 1) {
      const events = await parse(stream.slice(0, cut), stream.slice(cut))
      expect(events.map(({ data }) => data)).toStrictEqual(['"ä"', '2'])
    }
  })
}

test('drops an event that the stream does not finish', async () => {
  expect(await parse('data: 1\n\ndata: 2\n')).toHaveLength(1)
})

test('refuses an event longer than 1 MiB', async () => {
  await expect(parse(`data: ${'x'.repeat(1_048_577)}`)).rejects.toThrow('longer than 1 MiB')
})

test('reads back what it wrote, however the bytes are cut', async () => {
  const event = fc.record({ id: fc.stringMatching(/^[a-z0-9]{1,5}$/), data: fc.jsonValue() })
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 8 }), fc.integer({ min: 1, max: 9 }), async (events, size) => {
      const bytes = Buffer.from(events.map(formatEvent).join(HEARTBEAT_COMMENT))
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, at * size + size),
      )
      const parsed = await parseBytes(chunks)
      const back = parsed.map(({ id, data }) => ({ id, data: JSON.parse(data) as unknown }))
      expect(JSON.stringify(back)).toBe(JSON.stringify(events))
    }),
    { numRuns: 200 },
  )
})
