// When the span of an answer ends: the caller's own span must not end before it.
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { trace, type Span, type Tracer } from '@opentelemetry/api'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { Registry } from 'prom-client'
import { afterEach, expect, test } from 'vitest'
import { arrival } from '../../../src/controller/edge/arrival.ts'
import { createMetrics } from '../../../src/controller/metrics/metrics.ts'
import { createClockedTracer } from '../../../src/platform/tracing/clocked-tracer.ts'

let app: FastifyInstance
afterEach(() => app.close())

/** A clock that counts its readings: every reading is later than those before it. */
function countingClock(): () => number {
  let readings = 0
  return () => (readings += 1)
}

function tracerOf(now: () => number, onEnd: (at: unknown) => void): Tracer {
  const inner = trace.getTracer('test')
  const startSpan: Tracer['startSpan'] = () =>
    Object.assign(Object.create(inner.startSpan('x')) as Span, { isRecording: () => true, end: onEnd })
  return createClockedTracer({ startSpan, startActiveSpan: inner.startActiveSpan.bind(inner) }, () => now)
}

for (const [what, answer] of [
  ['an answer of Fastify', (reply) => reply.send('done')],
  [
    'an answer in pieces',
    (reply) => {
      reply.hijack()
      reply.raw.write('do')
      setImmediate(() => reply.raw.end('ne'))
    },
  ],
] satisfies [what: string, answer: (reply: FastifyReply) => unknown][]) {
  test(`the span of ${what} ends before its last byte is handed to the socket`, async () => {
    const now = countingClock()
    let [lastWriteAt, endedAt] = [0, 0]
    const ended = Promise.withResolvers<unknown>()
    const tracer = tracerOf(now, (at) => {
      endedAt = at as number
      ended.resolve(at)
    })
    app = fastify()
    await app.register(arrival, { tracer, metrics: createMetrics(new Registry(Registry.OPENMETRICS_CONTENT_TYPE)) })
    app.get('/', (_request, reply) => {
      const socket = reply.raw.socket!
      for (const name of ['_write', '_writev'] as const) {
        const write = socket[name]!.bind(socket) as (...args: unknown[]) => void
        socket[name] = (...args: unknown[]) => {
          lastWriteAt = now()
          write(...args)
        }
      }
      answer(reply)
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
    expect(await text(socket)).toContain('do')
    await ended.promise
    expect(endedAt).toBeGreaterThan(0)
    expect(endedAt).toBeLessThan(lastWriteAt)
  })
}
