// The reader of the part `events`: how long each event was on its way, from the worker's write to this process. A process of the
// bench.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { answerJobs, reportReady } from './child.ts'
import { readIdentity } from './identity.ts'
import type { EventsJob, EventsResult } from './jobs.ts'
import { latencyOf } from './statistics.ts'

const EVENT = /data: (\d+)\n\n/g

const identity = readIdentity()

reportReady()
answerJobs(run)

async function run({ streams, ...job }: EventsJob): Promise<EventsResult> {
  const all = await Promise.all(Array.from({ length: streams }, () => readStream(job)))
  return { events: all.flat().length, latencyMs: latencyOf(Float64Array.from(all.flat())) }
}

/** Milliseconds of each event. @throws {Error} when the answer is not a whole stream */
async function readStream({ port, path, events, intervalMs }: Omit<EventsJob, 'streams'>): Promise<number[]> {
  const asked = request({
    ...{ ...identity, host: '127.0.0.1', port, path, method: 'POST', agent: false, minVersion: 'TLSv1.3' },
    headers: { 'content-type': 'application/json' },
    checkServerIdentity: () => undefined,
  })
  asked.end(JSON.stringify({ events, intervalMs }))
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const times: number[] = []
  let rest = ''
  response.setEncoding('latin1').on('data', (text: string) => {
    const now = process.hrtime.bigint()
    rest += text
    for (const [, sent = '0'] of rest.matchAll(EVENT)) times.push(Number(now - BigInt(sent)) / 1e6)
    rest = rest.slice(rest.lastIndexOf('\n') + 1)
  })
  await once(response, 'end')
  if (times.length !== events)
    throw new Error(`${times.length} of ${events} events, status ${response.statusCode ?? 0}`)
  return times
}
