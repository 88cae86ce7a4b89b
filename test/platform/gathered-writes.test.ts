// Large parts that are written in one turn reach the stream as one write, and everything else as it was.
import { Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createGatheredWrites } from '../../src/platform/gathered-writes.ts'

const PART = Buffer.alloc(16 * 1024, 'x')

/** A stream that notes how many parts each of its writes had. */
function openStream() {
  const writes: number[] = []
  const stream = new Writable({
    highWaterMark: 64 * 1024,
    write(_chunk, _encoding, done) {
      writes.push(1)
      setImmediate(done)
    },
    writev(chunks, done) {
      writes.push(chunks.length)
      setImmediate(done)
    },
  })
  const gathered = createGatheredWrites(stream)
  const write = (part: Buffer): boolean => gathered.write(part.length, () => stream.write(part))
  return { stream, writes, write, leave: gathered.leave }
}

test('the parts of one turn leave together at its end', async () => {
  const { writes, write } = openStream()
  expect([write(PART), write(PART), write(PART)]).toEqual([true, true, true])
  expect(writes).toEqual([])
  await nextTurn()
  expect(writes).toEqual([3])
})

test('64 KiB leave at once, and the stream says that it is full', () => {
  const { writes, write } = openStream()
  expect([write(PART), write(PART), write(PART), write(PART)]).toEqual([true, true, true, false])
  expect(writes).toEqual([4])
})

test('a small part leaves at once, such as an event that somebody waits for', () => {
  const { writes, write } = openStream()
  write(Buffer.from('data: 1\n\n'))
  expect(writes).toEqual([1])
})

test('a small part stays behind the large one before it', async () => {
  const { writes, write } = openStream()
  write(PART)
  write(Buffer.from('end'))
  await nextTurn()
  expect(writes).toEqual([2])
})

test('the end of a stream does not wait for its turn', async () => {
  const { stream, writes, write, leave } = openStream()
  write(PART)
  leave()
  expect(writes).toEqual([1])
  stream.end()
  await nextTurn()
  expect(stream.writableCorked).toBe(0)
})
