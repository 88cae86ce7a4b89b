// The load generator of the overload rows: callers that are refused go on. A process of the bench.
import type { ConnectionOptions } from 'node:tls'
import { answerJobs, reportReady } from './child.ts'
import { openConnection, type Connection } from './connection.ts'
import { readIdentity } from './identity.ts'
import type { OverloadJob, OverloadResult } from './overload-jobs.ts'
import { latencyOf } from './statistics.ts'

const TICK_MS = 1

const { ca, ...identity } = readIdentity()

reportReady()
answerJobs(run)

async function run(job: OverloadJob): Promise<OverloadResult> {
  const lanes = Array.from({ length: job.connections }, () => createLane(job))
  const startedMs = performance.now()
  const endMs = startedMs + job.seconds * 1000
  const latencies: number[] = []
  let refused = 0
  const note = (isOk: boolean, sinceMs: number): void => {
    if (isOk) latencies.push(performance.now() - sinceMs)
    else refused += 1
  }
  if (job.rate === undefined) await Promise.all(lanes.map((lane) => keepAsking(lane, note, endMs)))
  else await askByTheClock(lanes, note, { startedMs, endMs, rate: job.rate })
  for (const lane of lanes) lane.close()
  return {
    answered: latencies.length / job.seconds,
    refused: refused / job.seconds,
    latencyMs: latencyOf(Float64Array.from(latencies)),
  }
}

type Note = (isOk: boolean, sinceMs: number) => void

async function keepAsking(lane: Lane, note: Note, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    const since = performance.now()
    note(await lane.ask(), since)
  }
}

/** A request that finds no free lane waits, and its latency includes the wait. */
async function askByTheClock(
  lanes: readonly Lane[],
  note: Note,
  { startedMs, endMs, rate }: { startedMs: number; endMs: number; rate: number },
): Promise<void> {
  const idle = [...lanes]
  let sent = 0
  const sendDue = (): void => {
    const due = Math.floor(((Math.min(performance.now(), endMs) - startedMs) * rate) / 1000)
    while (sent < due) {
      const lane = idle.pop()
      if (lane === undefined) return
      sent += 1
      const dueMs = startedMs + (sent * 1000) / rate
      void lane.ask().then((isOk) => {
        note(isOk, dueMs)
        idle.push(lane)
        sendDue()
      })
    }
  }
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setInterval(() => {
    sendDue()
    if (performance.now() >= endMs) resolve(undefined)
  }, TICK_MS)
  await promise
  clearInterval(timer)
}

type Lane = { readonly ask: () => Promise<boolean>; readonly close: () => void }

/** One connection, opened again when the server closes it. */
function createLane(job: OverloadJob): Lane {
  const request = bytesOf(job)
  const options: ConnectionOptions = { ca, port: job.port, ...(job.kind !== 'nobody' && identity) }
  let open: Promise<Connection> | undefined
  return {
    async ask() {
      const { promise: broken, resolve } = Promise.withResolvers<false>()
      try {
        open ??= openConnection(options, () => {
          open = undefined
          resolve(false)
        })
        const connection = await open
        const answered = new Promise<boolean>((done) => connection.send(request, done))
        return await Promise.race([answered, broken])
      } catch {
        open = undefined
        return false
      } finally {
        // The gate closes the connection of a stranger.
        if (job.kind === 'nobody') {
          void open?.then((connection) => connection.close()).catch(() => undefined)
          open = undefined
        }
      }
    },
    close: () => void open?.then((connection) => connection.close()).catch(() => undefined),
  }
}

function bytesOf({ port, kind, priority = 'normal' }: OverloadJob): Buffer {
  const call = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x'.repeat(165) }, priority }
  const body = kind === 'malformed' ? '{"verb":"invoke","capabilities":1}' : JSON.stringify(call)
  const head = [
    'POST /route HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}
