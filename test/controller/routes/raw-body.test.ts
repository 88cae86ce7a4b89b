// The body of the raw form as undici reads it: by events, without owning the connection of the caller.
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { rawBody } from '../../../src/controller/routes/raw-body.ts'
import type { AppError } from '../../../src/core/errors.ts'

type Body = ReturnType<typeof rawBody> & NodeJS.EventEmitter & Pick<PassThrough, 'resume' | 'pause' | 'destroy'>

function open(idleMs?: number) {
  const stream = new PassThrough()
  const body = rawBody(stream as unknown as IncomingMessage, idleMs) as Body
  const seen: string[] = []
  body.on('data', (part: Buffer) => seen.push(String(part)))
  body.on('end', () => seen.push('(end)'))
  body.on('error', ({ code }: AppError) => seen.push(`(${code})`))
  return { stream, body, seen }
}

async function turns(): Promise<void> {
  for (let n = 0; n < 5; n += 1) await nextTurn()
}

test('nothing is read before it is asked for, and nothing while it is paused', async () => {
  const { stream, body, seen } = open()
  stream.write('one')
  await turns()
  expect([seen, body.isAwaited()]).toEqual([[], false])
  body.resume()
  await turns()
  expect([seen, body.isAwaited()]).toEqual([['one'], true])
  body.pause()
  stream.write('two')
  await turns()
  expect([seen, body.isAwaited()]).toEqual([['one'], false])
  body.resume()
  stream.end()
  await turns()
  expect([seen, body.isAwaited()]).toEqual([['one', 'two', '(end)'], false])
})

test('a small body is kept, and can be sent again when it has ended', async () => {
  const { stream, body } = open()
  body.resume()
  stream.write('one')
  await turns()
  expect(body.whole()).toBeUndefined()
  stream.end('two')
  await turns()
  expect(String(body.whole())).toBe('onetwo')
})

test('a large body is not kept', async () => {
  const { stream, body, seen } = open()
  body.resume()
  for (let n = 0; n < 5; n += 1) stream.write(Buffer.alloc(16 * 1024, 'x'))
  stream.end('end')
  await turns()
  expect(seen.slice(-2)).toEqual(['end', '(end)'])
  expect(body.whole()).toBeUndefined()
})

test('a caller that leaves ends it with request_invalid, once', async () => {
  const { stream, body, seen } = open()
  body.resume()
  stream.write('one')
  await turns()
  stream.destroy(new Error('reset'))
  await turns()
  expect(seen).toEqual(['one', '(request_invalid)'])
})

test('a caller that has left before it is read ends it the same way', async () => {
  const { stream, body, seen } = open()
  stream.destroy()
  await turns()
  body.resume()
  await turns()
  expect(seen).toEqual(['(request_invalid)'])
})

test('the end of an attempt leaves the request to whoever drops the rest', async () => {
  const { stream, body, seen } = open()
  body.resume()
  stream.write('one')
  await turns()
  body.destroy()
  stream.write('two')
  await turns()
  expect(seen).toEqual(['one'])
  expect([stream.destroyed, stream.isPaused(), stream.listenerCount('data')]).toEqual([false, true, 0])
  stream.resume().end()
  await turns()
  expect(stream.readableEnded).toBe(true)
})

test('a failure that nobody listens for is not thrown', async () => {
  const { stream, body, seen } = open()
  body.removeAllListeners('error').resume()
  stream.destroy()
  await turns()
  expect(seen).toEqual([])
})

test('a reader gets all parts, and the failure after them', async () => {
  const whole = open()
  whole.stream.write('one')
  whole.stream.end('two')
  const parts: string[] = []
  for await (const part of whole.body) parts.push(String(part))
  expect(parts.join('')).toBe('onetwo')

  const broken = open()
  broken.stream.write('one')
  const read = async (): Promise<void> => {
    for await (const part of broken.body) {
      parts.push(String(part))
      broken.stream.destroy()
    }
  }
  await expect(read()).rejects.toMatchObject({ code: 'request_invalid' })
  expect(parts.at(-1)).toBe('one')
})

test('a reader that pauses for long stops the request after 64 KiB', async () => {
  const { stream, body, seen } = open()
  body.resume()
  await turns()
  body.pause()
  for (let n = 0; n < 8; n += 1) {
    stream.write(Buffer.alloc(16 * 1024, String(n)))
    await turns()
  }
  expect([seen, stream.isPaused()]).toEqual([[], true])
  stream.end()
  body.resume()
  await turns()
  expect(seen.map((part) => part[0]).join('')).toBe('01234567(')
})

test('a reader that pauses in the middle of what waits gets the rest, and the end, when it resumes', async () => {
  const { stream, body, seen } = open()
  body.resume()
  await turns()
  body.pause()
  for (const part of ['one', 'two', 'three']) {
    stream.write(part)
    await turns()
  }
  stream.end()
  await turns()
  body.once('data', () => body.pause())
  body.resume()
  await turns()
  expect(seen).toEqual(['one'])
  body.resume()
  await turns()
  expect(seen).toEqual(['one', 'two', 'three', '(end)'])
})
