// Fastify and undici with nothing of Crank: mTLS on both sides, the bytes of the body go to the worker and those of its
// answer back, unparsed. The floor of a controller that keeps these two libraries. A process of the bench.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import Type from 'typebox'
import { Pool } from 'undici'
import { loadConfig } from '../../src/platform/env.ts'
import { reportReady } from './child.ts'
import { FileEnv, readIdentity } from './identity.ts'

const Env = Type.Object({ ...FileEnv.properties, BENCH_WORKER_PORT: Type.String() })

const config = loadConfig(Env, { env: process.env })
const tls = {
  ...readIdentity(config),
  minVersion: 'TLSv1.3',
} as const
const worker = new Pool(`https://127.0.0.1:${config.BENCH_WORKER_PORT}`, {
  // The worker has no IP address in its certificate; it is checked against the bundle.
  connect: { ...tls, checkServerIdentity: () => undefined },
  allowH2: false,
})

const app = Fastify({
  logger: false,
  keepAliveTimeout: 600_000,
  https: { ...tls, requestCert: true, rejectUnauthorized: true },
})
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
  done(null, body)
})
app.post('/route', async ({ body, headers }, reply) => {
  const { traceparent } = headers
  const answer = await worker.request({
    method: 'POST',
    path: '/execute',
    headers: {
      'content-type': 'application/json',
      ...(typeof traceparent === 'string' && { traceparent }),
    },
    body: body as Buffer,
  })
  reply.code(answer.statusCode).header('content-type', 'application/json')
  return answer.body.bytes()
})
await app.listen({ host: '127.0.0.1', port: 0 })
reportReady((app.server.address() as AddressInfo).port)
