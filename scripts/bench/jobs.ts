// Messages between the bench and its processes.
import type { Direction } from './body-requests.ts'
import type { Pids } from './cpu.ts'
import type { Latency } from './statistics.ts'

/** Calls that a caller of the part `cached` makes before the next one has its turn: each of its 15 capabilities ten times. */
export const TURN_CALLS = 150

/**
 * One load on one server. The first `ramp` requests are not measured: they open the connections. Without `rate` the
 * loop is closed: each connection sends its next request after an answer. With `rate` (requests per second) requests
 * are scheduled by
 * the clock even if the server is slow, and their latency counts from the scheduled time (coordinated omission).
 */
export type LoadJob = {
  readonly port: number
  readonly connections: number
  readonly ramp: number
  readonly requests: number
  readonly rate?: number
  /** 16 hex digits: each of the `ramp + requests` requests is in the trace `traceIdAt(traces, n)`. */
  readonly traces?: string
  /** Each request has an idempotency key of its own. */
  readonly keyed?: boolean
  /** Bodies of 1 MiB, in the raw form. */
  readonly bodies?: Direction
  /** Processes whose CPU time is measured. */
  readonly pids: Pids
}

/**
 * `cpuUs`: CPU microseconds per request of each process; `seconds`: duration of the measured part; `failed`: answers
 * other than 200; a figure is valid only if there are none.
 */
export type LoadResult = {
  readonly requests: number
  readonly failed: number
  readonly seconds: number
  readonly cpuUs: Readonly<Record<string, number>>
  readonly latencyMs: Latency
}

/** What a caller asks the worker of the part `events` for. */
export type EventsAsked = { readonly events: number; readonly intervalMs: number }
/** So many event streams at a time from `path`. */
export type EventsJob = EventsAsked & { readonly port: number; readonly path: string; readonly streams: number }
/** All events of all streams. */
export type EventsResult = { readonly events: number; readonly latencyMs: Latency }

/** Decisions of one engine, `concurrency` at a time. `opaUrl` undefined: the embedded engine. */
export type PolicyJob = {
  readonly policyDir: string
  readonly opaUrl?: string
  readonly decisions: number
  readonly concurrency: number
  readonly pids: Pids
}

export type PolicyResult = Omit<LoadResult, 'requests' | 'failed'> & { readonly decisions: number }
