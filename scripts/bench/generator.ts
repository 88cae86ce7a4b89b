// The load generator: calls POST /route as the streaming worker. A process of the bench.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { loadConfig } from '../../src/platform/env.ts'
import { answerJobs, reportReady } from './child.ts'
import { openConnection } from './connection.ts'
import { FileEnv, type LoadJob, type LoadResult } from './jobs.ts'
import { closedLoop, openLoop, type RequestAt } from './load.ts'

const VARIANTS = 256
// About 230 bytes, as in facts/performance.md.
const BODY = JSON.stringify({
  verb: 'invoke',
  capability: 'hello_world',
  payload: { message: 'x'.repeat(120), n: 1234567, tags: ['bench', 'route'] },
})

const config = loadConfig(FileEnv, { env: process.env })
const identity = {
  cert: readFileSync(config.CRANK_TLS_CERT),
  key: readFileSync(config.CRANK_TLS_KEY),
  ca: readFileSync(config.CRANK_TLS_BUNDLE),
}

reportReady()
answerJobs(run)

async function run(job: LoadJob): Promise<LoadResult> {
  const { promise: faulty, reject } = Promise.withResolvers<never>()
  const opening = Array.from({ length: job.connections }, () => openConnection({ ...identity, port: job.port }, reject))
  const connections = await Promise.race([Promise.all(opening), faulty])
  const requestAt = requestsTo(job.port)
  const { rate } = job
  const load =
    rate === undefined ? closedLoop(job, connections, requestAt) : openLoop({ ...job, rate }, connections, requestAt)
  try {
    return await Promise.race([load, faulty])
  } finally {
    for (const connection of connections) connection.close()
  }
}

/** Each request belongs to a sampled trace of its own, as callers of a traced mesh would send it. */
function requestsTo(port: number): RequestAt {
  const variants = Array.from({ length: VARIANTS }, () => {
    const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`
    const head = [
      'POST /route HTTP/1.1',
      `host: 127.0.0.1:${port}`,
      'content-type: application/json',
      `content-length: ${BODY.length}`,
      `traceparent: ${traceparent}`,
    ]
    return Buffer.from(`${head.join('\r\n')}\r\n\r\n${BODY}`)
  })
  return (n) => variants[n % VARIANTS] ?? Buffer.alloc(0)
}
