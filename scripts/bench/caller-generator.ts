// The load generator of the part `cached`: as many connections at a time as in the other rows, but each is of another caller,
// who makes TURN_CALLS calls and makes room for the next. A process of the bench.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Type from 'typebox'
import { loadConfig } from '../../src/platform/env.ts'
import { CAPABILITIES, type Caller } from './callers.ts'
import { answerJobs, reportReady } from './child.ts'
import { openConnection, type Connection } from './connection.ts'
import { TURN_CALLS, type LoadJob, type LoadResult } from './jobs.ts'
import { closedLoop } from './load.ts'
import { routeRequest } from './request-bytes.ts'

/** Requests of each capability, each in a trace of its own. */
const VARIANTS = 16

const CallersEnv = Type.Object({ CRANK_TLS_BUNDLE: Type.String(), BENCH_CALLERS: Type.String() })
const config = loadConfig(CallersEnv, { env: process.env })
const ca = readFileSync(config.CRANK_TLS_BUNDLE)
const callers = JSON.parse(readFileSync(config.BENCH_CALLERS, 'utf8')) as Caller[]
/** How many turns each server has seen: its next load goes on with the callers that it has not seen for longest. */
const turns = new Map<number, number>()

reportReady()
answerJobs(run)

async function run(job: LoadJob): Promise<LoadResult> {
  const { port, connections: atATime } = job
  const { promise: faulty, reject } = Promise.withResolvers<never>()
  const open = (): Promise<Connection> => {
    const turn = turns.get(port) ?? 0
    turns.set(port, turn + 1)
    return openConnection({ ...callers[turn % callers.length], ca, port }, reject)
  }
  const lanes = await Promise.race([
    Promise.all(Array.from({ length: atATime }, () => takeTurns(open, reject))),
    faulty,
  ])
  const requests = CAPABILITIES.map(({ name }) =>
    Array.from({ length: VARIANTS }, () => routeRequest(port, randomBytes(16).toString('hex'), { capability: name })),
  )
  // In no order: a caller asks again for some of its capabilities soon, for others late.
  const requestAt = (n: number): Buffer =>
    requests[Math.floor(Math.random() * requests.length)]?.[n % VARIANTS] ?? Buffer.alloc(0)
  try {
    return await Promise.race([closedLoop(job, lanes, requestAt), faulty])
  } finally {
    for (const lane of lanes) lane.close()
  }
}

/** A connection that is another one after each turn. The call that waits for the handshake is slow, so latencies say nothing. */
async function takeTurns(open: () => Promise<Connection>, onFault: (error: Error) => void): Promise<Connection> {
  let current = await open()
  let left = TURN_CALLS
  return {
    send(request, onAnswer) {
      if (left > 0) {
        left -= 1
        current.send(request, onAnswer)
        return
      }
      left = TURN_CALLS - 1
      current.close()
      open().then((next) => {
        current = next
        next.send(request, onAnswer)
      }, onFault)
    },
    close: () => current.close(),
  }
}
