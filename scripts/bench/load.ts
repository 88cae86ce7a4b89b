// The two kinds of load. Both measure only after the ramp, and read the clock and the CPU times at the same moments.
import type { Connection } from './connection.ts'
import { cpuPerRequest, cpuTimes } from './cpu.ts'
import type { LoadJob, LoadResult } from './jobs.ts'
import { latencyOf } from './statistics.ts'

/** Creates the bytes of the n-th request. */
export type RequestAt = (n: number) => Buffer

/** Each connection sends its next request after an answer. Resolves after `ramp + requests` answers. */
export function closedLoop(
  job: LoadJob,
  connections: readonly Connection[],
  requestAt: RequestAt,
): Promise<LoadResult> {
  const total = job.ramp + job.requests
  let sent = 0
  let answered = 0
  const { promise, resolve } = Promise.withResolvers<LoadResult>()
  let meter = startMeter(job)
  const ask = (connection: Connection): void => {
    if (sent === total) return
    const started = performance.now()
    connection.send(requestAt(sent++), (isOk) => {
      if (answered === job.ramp) meter = startMeter(job)
      if (answered >= job.ramp) meter.answered(performance.now() - started, isOk)
      answered += 1
      if (answered === total) resolve(meter.stop())
      else ask(connection)
    })
  }
  connections.forEach(ask)
  return promise
}

const TICK_MS = 1

/**
 * Schedules `job.rate` requests per second; one that finds no idle connection waits, and its latency includes the
 * wait.
 */
export async function openLoop(
  job: LoadJob & { readonly rate: number },
  connections: readonly Connection[],
  requestAt: RequestAt,
): Promise<LoadResult> {
  if (job.ramp > 0) await closedLoop({ ...job, ramp: 0, requests: job.ramp }, connections, requestAt)
  const idle = [...connections]
  const meter = startMeter(job)
  const { promise, resolve } = Promise.withResolvers<LoadResult>()
  const startedMs = performance.now()
  let sent = 0
  let answered = 0
  const sendDue = (): void => {
    const due = Math.min(job.requests, Math.floor(((performance.now() - startedMs) * job.rate) / 1000))
    while (sent < due) {
      const connection = idle.pop()
      if (connection === undefined) return
      const dueMs = startedMs + ((sent + 1) * 1000) / job.rate
      connection.send(requestAt(sent++), (isOk) => {
        meter.answered(performance.now() - dueMs, isOk)
        answered += 1
        idle.push(connection)
        if (answered === job.requests) resolve(meter.stop())
        else sendDue()
      })
    }
  }
  const timer = setInterval(sendDue, TICK_MS)
  try {
    return await promise
  } finally {
    clearInterval(timer)
  }
}

type Meter = { readonly answered: (latencyMs: number, isOk: boolean) => void; readonly stop: () => LoadResult }

function startMeter({ requests, pids }: LoadJob): Meter {
  const latencies = new Float64Array(requests)
  let count = 0
  let failed = 0
  const cpu = cpuTimes(pids)
  const startedMs = performance.now()
  return {
    answered: (latencyMs, isOk) => {
      latencies[count++] = latencyMs
      if (!isOk) failed += 1
    },
    stop: () => ({
      requests,
      failed,
      seconds: (performance.now() - startedMs) / 1000,
      cpuUs: cpuPerRequest(pids, cpu, requests),
      latencyMs: latencyOf(latencies),
    }),
  }
}
