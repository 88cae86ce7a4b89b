import { request } from 'node:https'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import Type from 'typebox'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import { InvokeError } from '../../src/worker/invoke.ts'
import type { HandlerContext } from '../../src/worker/handler.ts'
import { answerJson } from '../../src/worker/testing/fake-controller.ts'
import { createTestCa } from '../fixtures/pki/ca.ts'
import { until } from '../fixtures/until.ts'
import { callHeaders } from '../../scripts/lab/worker-calls.ts'
import { openSite, type Site } from './worker-fixture.ts'

const WORKER_ID = 'spiffe://crank.local/worker/echo'

let site: Site
beforeEach(async () => {
  site = await openSite()
})
afterEach(() => site.close())

const REQUIRES = ['invoke:hello_world', 'convert:document_to_pdf', 'stream:numbers', 'a:b'] as const
type Handle = (
  context: HandlerContext<{ text: string }, (typeof REQUIRES)[number]>,
) => Promise<{ text: string }> | { text: string }
const Text = Type.Object({ text: Type.String() })

function echoWorker(handler: Handle = ({ input }) => ({ text: input.text })) {
  const echo = defineCapability({
    verb: 'echo',
    name: 'text',
    version: '1.0.0',
    requires: REQUIRES,
    input: Text,
    output: Text,
    handler,
  })
  return defineWorker({ id: 'worker-echo', capabilities: [echo] })
}

function received(path: string) {
  return site.controller.received.filter((one) => one.path === path)
}

async function execute(
  url: string,
  payload: unknown,
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null,
) {
  const pool = site.controller.poolTo(url, WORKER_ID)
  const answer = await pool.request({
    method: 'POST',
    path: '/execute',
    headers: callHeaders('echo:text', headers),
    body: JSON.stringify(payload),
    signal,
  })
  return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> }
}

test('a worker that stops frees what it holds, and a fault in that is only logged', async () => {
  const { capabilities } = echoWorker()
  const closed: string[] = []
  const close = () => {
    closed.push('now')
    throw new Error('locked')
  }
  const worker = await site.run(defineWorker({ id: 'worker-echo', capabilities, close }))
  await worker.close()
  expect(closed).toEqual(['now'])
  expect(worker.logged().map(({ event }) => event)).toContain('worker_close_failed')
})

describe('a worker that starts', () => {
  test('registers its capabilities under its real port, says that it is ready, and sends heartbeats', async () => {
    const worker = await site.run(echoWorker())
    await worker.registered
    const { body } = received('/register')[0]!
    expect(body).toMatchObject({
      worker_id: 'worker-echo',
      worker_url: `https://127.0.0.1:${worker.port}`,
      capabilities: [{ verb: 'echo', name: 'text', version: '1.0.0', input_schema: { type: 'object' } }],
    })
    await until('a heartbeat came', () => received('/heartbeat').length > 0)
    expect(received('/heartbeat')[0]?.body).toStrictEqual({ worker_id: 'worker-echo', lease: 'lease-1', load: 0 })
    const ready = worker.logged().filter(({ event }) => ['worker_listening', 'worker_ready'].includes(event as string))
    expect(ready.map(({ event, port }) => [event, port])).toStrictEqual([
      ['worker_listening', worker.port],
      ['worker_ready', worker.port],
    ])
  })

  test('adds its instance to its id', async () => {
    const config = {
      controllerUrls: [site.controller.url],
      controllerId: site.controller.source.current().spiffeId,
      host: '127.0.0.1',
      port: 0,
      workerUrl: 'https://localhost:1',
      instance: 'b',
    }
    const worker = await site.run(echoWorker(), { config })
    await worker.registered
    expect(received('/register')[0]?.body).toMatchObject({
      worker_id: 'worker-echo.b',
      worker_url: 'https://localhost:1',
    })
  })

  test('never talks to a controller with another identity', async () => {
    const config = {
      controllerUrls: [site.controller.url],
      controllerId: 'spiffe://crank.local/other' as never,
      host: '127.0.0.1',
      port: 0,
      workerUrl: undefined,
      instance: undefined,
    }
    const worker = await site.run(echoWorker(), { config })
    await until('it has noticed', () => worker.logged().some(({ event }) => event === 'controller_unavailable'))
    expect(site.controller.received).toHaveLength(0)
  })
})

describe('the server of a worker', () => {
  test('answers the controller', async () => {
    const { url } = await site.run(echoWorker())
    expect(await execute(url, { text: 'hi' })).toStrictEqual({ status: 200, body: { text: 'hi' } })
  })

  test('reports its health to the controller', async () => {
    const worker = await site.run(echoWorker(), { droppedLines: () => 3 })
    await worker.registered
    const pool = site.controller.poolTo(worker.url, WORKER_ID)
    const { body } = await pool.request({ method: 'GET', path: '/health' })
    expect(await body.json()).toStrictEqual({
      status: 'ok',
      worker_id: 'worker-echo',
      capabilities: ['echo:text'],
      in_flight: 0,
      log_lines_dropped: 3,
      registered: true,
    })
  })

  test('has no other routes', async () => {
    const { url } = await site.run(echoWorker())
    const { statusCode, body } = await site.controller
      .poolTo(url, WORKER_ID)
      .request({ method: 'POST', path: '/x', body: '{}' })
    expect(statusCode).toBe(404)
    expect(await body.json()).toMatchObject({ error: 'NOT_FOUND' })
  })

  test('refuses another worker of the same trust domain, and closes the connection', async () => {
    const { url, logged } = await site.run(echoWorker())
    const answer = await askAs(await site.filesOf('worker/mallory'), url)
    expect(answer.statusCode).toBe(403)
    expect(answer.headers.connection).toBe('close')
    expect(logged().find(({ event }) => event === 'peer_refused')).toMatchObject({
      peer: 'spiffe://crank.local/worker/mallory',
    })
  })

  test('ends the handshake of a stranger who calls itself the controller', async () => {
    const { url } = await site.run(echoWorker())
    const stranger = await (await createTestCa('crank.local')).issue({ uri: 'spiffe://crank.local/controller' })
    await expect(ask(url, { cert: stranger.chainPem, key: stranger.keyPem })).rejects.toThrow()
  })

  test('cancels the work of a caller that hangs up', async () => {
    const started = Promise.withResolvers<undefined>()
    const ended = Promise.withResolvers<string>()
    const { url } = await site.run(
      echoWorker(async ({ signal }) => {
        started.resolve(undefined)
        await delay(60_000, undefined, { signal }).catch(() => ended.resolve((signal.reason as Error).message))
        return { text: 'nobody reads this' }
      }),
    )
    const hangUp = new AbortController()
    const call = site.controller.poolTo(url, WORKER_ID).request({
      method: 'POST',
      path: '/execute',
      headers: callHeaders('echo:text'),
      body: '{"text":"a"}',
      signal: hangUp.signal,
    })
    await started.promise
    hangUp.abort()
    await expect(call).rejects.toThrow()
    expect(await ended.promise).toBe('the caller left')
  })
})

describe('a worker that is closed', () => {
  test('deregisters, lets a running call end, and answers no more', async () => {
    const started = Promise.withResolvers<undefined>()
    const worker = await site.run(
      echoWorker(async ({ input }) => {
        started.resolve(undefined)
        await until('the worker has said goodbye', () => received('/deregister').length > 0)
        return { text: input.text }
      }),
    )
    await worker.registered
    const call = execute(worker.url, { text: 'last' })
    await started.promise
    await worker.close()
    expect(await call).toStrictEqual({ status: 200, body: { text: 'last' } })
    expect(received('/deregister')).toHaveLength(1)
    await expect(execute(worker.url, { text: 'late' })).rejects.toThrow()
  })

  test('breaks off what does not end in time', async () => {
    const started = Promise.withResolvers<undefined>()
    const worker = await site.run(
      echoWorker(async ({ signal }) => {
        started.resolve(undefined)
        return delay(60_000, { text: '' }, { signal })
      }),
      { drainMs: 10 },
    )
    await worker.registered
    const call = execute(worker.url, { text: 'slow' })
    await started.promise
    await worker.close()
    expect(await call).toMatchObject({ status: 503, body: { error: 'SHUTTING_DOWN' } })
  })
})

describe('invoke', () => {
  test('calls through the controller in the same trace and gives back the answer', async () => {
    const path = '/route/invoke/hello_world'
    site.controller.script(path, (_call, response) => answerJson(response, 200, { greeting: 'hello' }))
    const { url } = await site.run(
      echoWorker(async ({ invoke }) => {
        const options = { idempotencyKey: 'k-1', priority: 'high', timeoutMs: 5_000 } as const
        const answer = (await invoke('invoke:hello_world', { message: 'x' }, options)) as { greeting: string }
        return { text: answer.greeting }
      }),
    )
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const trace = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: 'vendor=1' }
    const answer = await execute(url, { text: 'hi' }, trace)
    expect(answer.body).toStrictEqual({ text: 'hello' })
    const [call] = received(path)
    expect(call?.body).toStrictEqual({ message: 'x' })
    expect(call?.headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': 'k-1',
      'x-crank-priority': 'high',
      'x-crank-timeout-ms': '5000',
    })
    expect(call?.headers['tracestate']).toBe('vendor=1')
    // This worker exports no spans: what came in goes on as it came.
    expect(call?.headers['traceparent']).toBe(trace.traceparent)
  })

  test.each(['invoke', 'events'])('%s sends nothing for a name that requires does not have', async (way) => {
    const worker = await site.run(
      echoWorker(async ({ invoke }) => {
        // As plain JavaScript may call it.
        const name = 'store:secrets' as 'a:b'
        if (way === 'invoke') await invoke(name)
        else for await (const { event } of invoke.events(name)) throw new Error(`came: ${event}`)
        return { text: 'went on' }
      }),
    )
    const message = 'the handler of echo:text calls store:secrets: add this name to its requires'
    expect(await execute(worker.url, { text: 'hi' })).toEqual({
      status: 500,
      body: { error: 'CAPABILITY_NOT_DECLARED', message, retryable: false },
    })
    expect(received('/route/store/secrets')).toEqual([])
    expect(worker.logged()).toContainEqual(
      expect.objectContaining({ level: 'error', event: 'call_failed', error: 'CAPABILITY_NOT_DECLARED' }),
    )
  })

  test('throws an error with the code and the reason of a refusal', async () => {
    const denied = { error: 'capability_access_denied', reason: 'Worker … not authorized for capability …' }
    site.controller.script('/route/convert/document_to_pdf', (_call, response) =>
      answerJson(response, 403, denied, { 'x-decision-id': 'decision-7' }),
    )
    let seen: unknown
    const { url } = await site.run(
      echoWorker(async ({ invoke }) => {
        seen = await invoke('convert:document_to_pdf').catch((error: unknown) => error)
        return { text: 'refused' }
      }),
    )
    await execute(url, { text: 'hi' })
    expect(seen).toBeInstanceOf(InvokeError)
    expect(seen).toMatchObject({
      status: 403,
      code: 'capability_access_denied',
      decisionId: 'decision-7',
      message: 'convert:document_to_pdf: Worker … not authorized for capability …',
    })
  })

  test('gives the events of a stream as they arrive, and its failure as an error', async () => {
    site.controller.script('/route/stream/numbers', (_call, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': heartbeat\n\nid: 1\ndata: {"n":1}\n\n')
      response.end('event: error\ndata: {"error":"TIRED","message":"not today","retryable":true}\n\n')
    })
    const seen: unknown[] = []
    const { url } = await site.run(
      echoWorker(async ({ invoke }) => {
        try {
          for await (const event of invoke.events('stream:numbers')) seen.push(event)
        } catch (error: unknown) {
          return { text: (error as Error).message }
        }
        return { text: 'no error' }
      }),
    )
    expect((await execute(url, { text: 'hi' })).body).toStrictEqual({ text: 'stream:numbers: not today' })
    expect(seen).toStrictEqual([{ id: '1', event: 'message', data: { n: 1 } }])
  })

  test('ends with the call that it belongs to', async () => {
    const hanging = Promise.withResolvers<undefined>()
    const hungUp = Promise.withResolvers<string>()
    site.controller.script('/route/a/b', (_call, response) => {
      hanging.resolve(undefined)
      response.on('close', () => hungUp.resolve('closed'))
    })
    const { url } = await site.run(echoWorker(async ({ invoke }) => invoke('a:b') as Promise<{ text: string }>))
    const hangUp = new AbortController()
    const answer = execute(url, { text: 'hi' }, {}, hangUp.signal)
    await hanging.promise
    hangUp.abort()
    await expect(answer).rejects.toThrow()
    expect(await hungUp.promise).toBe('closed')
  })
})

async function askAs(files: { certFile: string; keyFile: string }, url: string): Promise<IncomingMessage> {
  return ask(url, { cert: await readFile(files.certFile, 'utf8'), key: await readFile(files.keyFile, 'utf8') })
}

async function ask(url: string, identity: { cert: string; key: string }): Promise<IncomingMessage> {
  // The certificate of a worker names no host: a test that only asks need not check whom.
  const options = { ...identity, ca: site.ca.certPem, checkServerIdentity: () => undefined, agent: false }
  const outgoing = request(new URL('/health', url), options)
  outgoing.end()
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  answer.resume()
  return answer
}
