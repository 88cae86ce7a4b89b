// What the controller knows about a registered worker, as `/workers`, metrics and log name it.

/**
 * `suspect`: a connection to it failed; it is probed. `ejected`: several attempts in a row failed; it rests for a time.
 * `half_open`: it answers its probe again, and gets one call at a time. `draining`: an operator keeps new calls from it.
 * `stale`: its heartbeats are missing.
 */
export type WorkerState = (typeof WORKER_STATES)[number]
export const WORKER_STATES = ['live', 'suspect', 'ejected', 'half_open', 'draining', 'stale'] as const

/**
 * How an attempt at a worker failed through the worker or the way to it. `unreachable`: no connection, or not to its SPIFFE ID.
 * `reset`: the connection broke. `timeout`: no answer in time. `answer`: an invalid answer, or a 5xx without a declared code.
 */
export type WorkerFault = (typeof WORKER_FAULTS)[number]
const WORKER_FAULTS = ['unreachable', 'reset', 'timeout', 'answer'] as const

/** Why a worker is in its state: one of its faults, an answer to a probe or to a call, or an event of its registration. */
export type StateCause = (typeof STATE_CAUSES)[number]
export const STATE_CAUSES = [
  ...WORKER_FAULTS,
  'probe_answered',
  'call_answered',
  'registered',
  'heartbeat',
  'heartbeats_missed',
  'drained',
  'undrained',
] as const
