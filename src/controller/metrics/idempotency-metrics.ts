// Metrics of idempotency keys: how calls with a key ended, and the state of the store.
import { Counter, Gauge, Histogram } from 'prom-client'
import { IDEMPOTENCY_RESULTS, type IdempotencyResult } from '../../core/idempotency.ts'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

type IdempotencyMetrics = {
  readonly used: (result: IdempotencyResult) => void
  /** A call waited for the disk. */
  readonly written: (seconds: number) => void
  /** Sets the source of the gauges, which are read at each scrape. Call once. */
  readonly observe: (health: () => Health) => void
}

type Health = {
  readonly ok: boolean
  readonly queued: number
  readonly counts: Readonly<Record<'in_flight' | 'done' | 'unknown' | 'bytes', number>>
}

const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const STATES = ['in_flight', 'done', 'unknown'] as const

export function createIdempotencyMetrics(registry: Registry): IdempotencyMetrics {
  const registers = [registry]
  const used = new Counter({
    name: 'controller_idempotency_total',
    help: 'Calls with an idempotency key, by its effect.',
    labelNames: ['result'],
    registers,
  })
  // The first of a kind is then an increase, not a new series.
  for (const result of IDEMPOTENCY_RESULTS) used.inc({ result }, 0)
  const written = new Histogram({
    name: 'controller_idempotency_write_seconds',
    help: 'Time until a claim of an idempotency key is on the disk.',
    buckets: BUCKETS,
    registers,
  })
  return asObserver<IdempotencyMetrics>({
    used: (result) => used.inc({ result }),
    written: (seconds) => written.observe(seconds),
    observe: (health) => observe(registry, health),
  })
}

function observe(registry: Registry, health: () => Health): void {
  const keys = gauge(registry, 'keys', 'Idempotency keys in the store.', ['state'], () => {
    for (const state of STATES) keys.set({ state }, health().counts[state])
  })
  const read = (name: string, help: string, value: () => number): void => {
    const it = gauge(registry, name, help, [], () => it.set(value()))
  }
  read('stored_bytes', 'Bytes of stored answers.', () => health().counts.bytes)
  read('queue_length', 'Requests that wait for the store of idempotency keys.', () => health().queued)
  read('unavailable', '1 while the store of idempotency keys cannot be used.', () => (health().ok ? 0 : 1))
}

function gauge<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: L[],
  collect: () => void,
): Gauge<L> {
  const made = new Gauge({
    name: `controller_idempotency_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect,
  })
  guardCollector(made)
  return made
}
