// Streams in both directions: event by event, no faster than the reader, and ended when either side leaves.
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

let mesh: Mesh
let worker: FakeWorker
let execute: Execute
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(
    mesh,
    (request, response, body) => {
      execute(request, response, body)
    },
    { streaming: true },
  )
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

async function open(options: { body?: unknown; signal?: AbortSignal; raw?: boolean } = {}) {
  const pool = await mesh.client(STREAMING)
  return pool.request({
    method: 'POST',
    path: options.raw === true ? '/route/invoke/hello_world' : '/route',
    headers: { 'content-type': 'application/json' },
    body: (options.body ?? '{"verb":"invoke","capability":"hello_world"}') as string,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
}

test('an event reaches the caller before the worker sends the next one', async () => {
  let send: ((text: string) => void) | undefined
  execute = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    send = (text) => {
      if (text === '') response.end()
      else response.write(text)
    }
  }
  const { statusCode, headers, body } = await open()
  expect(statusCode).toBe(200)
  expect(headers['content-type']).toBe('text/event-stream')
  const received: string[] = []
  body.setEncoding('utf8').on('data', (text: string) => received.push(text))
  for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
    send!(event)
    await until('the event arrived', () => received.at(-1) === event)
  }
  send!('')
  await once(body, 'end')
  expect(received.join('')).toBe('data: 1\n\ndata: 2\n\ndata: 3\n\n')
})

test('a caller that leaves cancels the work of the worker', async () => {
  const cancelled = new Promise<void>((resolve) => {
    execute = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      response.once('close', resolve)
    }
  })
  const leaving = new AbortController()
  const { body, headers } = await open({ signal: leaving.signal })
  body.on('error', () => undefined)
  leaving.abort()
  await cancelled
  const outcome = await mesh.auditedAs(
    (line) => line.event === 'route_outcome' && line['decision_id'] === headers['x-decision-id'],
  )
  expect(outcome).toMatchObject({ outcome: 'caller_left', status: null })
})

test('a caller that leaves before the first byte cancels the work too', async () => {
  const leaving = new AbortController()
  const cancelled = new Promise<void>((resolve) => {
    execute = (_request, response) => {
      response.once('close', resolve)
      leaving.abort()
    }
  })
  await expect(open({ signal: leaving.signal })).rejects.toThrow()
  await cancelled
  await mesh.auditedAs((line) => line.event === 'route_outcome' && line['outcome'] === 'caller_left')
})

test('a reader that stops holds the worker back: nothing piles up in the controller', async () => {
  const chunk = Buffer.alloc(1024 * 1024, 'x')
  let sent = 0
  let blocked = false
  execute = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' })
    const pump = (): void => {
      while (sent < 64 && response.write(chunk)) sent++
      blocked = response.writableNeedDrain
      if (sent >= 64) response.end()
    }
    response.on('drain', () => {
      sent++
      pump()
    })
    pump()
  }
  const { body } = await open()
  await until('the worker is held back', () => blocked)
  let lastSent = -1
  await until('the worker stays held back', () => {
    const still = sent === lastSent
    lastSent = sent
    return still
  })
  expect(sent).toBeLessThan(40)
  let received = 0
  for await (const part of body) received += (part as Buffer).length
  expect(received).toBe(sent * chunk.length)
})

test('a request body streams to the worker while the caller still writes it', async () => {
  const received: string[] = []
  execute = (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => received.push(text))
    request.on('end', () => response.end(received.join('')))
  }
  const upload = new PassThrough()
  const answer = open({ body: upload, raw: true })
  for (const part of ['one,', 'two,', 'three']) {
    upload.write(part)
    await until('the part reached the worker', () => received.at(-1) === part)
  }
  upload.end()
  expect(await (await answer).body.text()).toBe('one,two,three')
})

test('a caller that leaves in the middle of its upload ends the work', async () => {
  const cancelled = new Promise<void>((resolve) => {
    execute = (request) => {
      request.resume().once('close', resolve)
    }
  })
  const upload = new PassThrough()
  const leaving = new AbortController()
  const answer = open({ body: upload, raw: true, signal: leaving.signal })
  const before = worker.seen.length
  upload.write('part')
  await until('the worker was called', () => worker.seen.length > before)
  leaving.abort()
  await expect(answer).rejects.toThrow()
  await cancelled
})
