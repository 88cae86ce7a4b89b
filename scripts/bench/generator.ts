// The load generator: calls POST /route as the streaming worker. A process of the bench.
import { randomBytes } from 'node:crypto'
import { bodyRequest } from './body-requests.ts'
import { answerJobs, reportReady } from './child.ts'
import { openConnection } from './connection.ts'
import { readIdentity } from './identity.ts'
import type { LoadJob, LoadResult } from './jobs.ts'
import { closedLoop, openLoop, type RequestAt } from './load.ts'
import { routeRequest, traceIdAt } from './request-bytes.ts'

const VARIANTS = 256

const identity = readIdentity()

reportReady()
answerJobs(run)

async function run(job: LoadJob): Promise<LoadResult> {
  const { promise: faulty, reject } = Promise.withResolvers<never>()
  const opening = Array.from({ length: job.connections }, () => openConnection({ ...identity, port: job.port }, reject))
  const connections = await Promise.race([Promise.all(opening), faulty])
  const requestAt = requestsOf(job)
  const { rate } = job
  const load =
    rate === undefined ? closedLoop(job, connections, requestAt) : openLoop({ ...job, rate }, connections, requestAt)
  try {
    return await Promise.race([load, faulty])
  } finally {
    for (const connection of connections) connection.close()
  }
}

function requestsOf({ port, traces, keyed, bodies }: LoadJob): RequestAt {
  if (bodies !== undefined) {
    const request = bodyRequest(port, bodies)
    return () => request
  }
  if (keyed === true) return keyedRequestsTo(port)
  return traces === undefined ? requestsTo(port) : tracedRequestsTo(port, traces)
}

/** No key is used twice, in this run or another. */
function keyedRequestsTo(port: number): RequestAt {
  const run = randomBytes(8).toString('hex')
  const template = routeRequest(port, randomBytes(16).toString('hex'), { key: traceIdAt(run, 0) })
  const at = template.indexOf(traceIdAt(run, 0))
  return (n) => {
    const request = Buffer.from(template)
    request.write(traceIdAt(run, n), at, 'latin1')
    return request
  }
}

/** Each request belongs to a sampled trace, as from callers in a traced mesh. */
function requestsTo(port: number): RequestAt {
  const variants = Array.from({ length: VARIANTS }, () => routeRequest(port, randomBytes(16).toString('hex')))
  return (n) => variants[n % VARIANTS] ?? Buffer.alloc(0)
}

/** Each request has its own trace, so that lost traces can be counted. */
function tracedRequestsTo(port: number, run: string): RequestAt {
  const template = routeRequest(port, traceIdAt(run, 0))
  const at = template.indexOf(traceIdAt(run, 0))
  let made = 0
  return () => {
    const request = Buffer.from(template)
    request.write(traceIdAt(run, made++), at, 'latin1')
    return request
  }
}
