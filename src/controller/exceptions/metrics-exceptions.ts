// Metrics of the exceptions and of faults in the policy data. The label of an exception is its short id (8 hex digits),
// since SPIFFE IDs are never labels. GET /policy/exceptions on the admin listener lists ids and names.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

type ExceptionMetrics = {
  readonly used: (id: string) => void
  /** Sets the exceptions in force: only these have series. */
  readonly follow: (ids: readonly string[]) => void
}

/** The sources of the gauges; read at each scrape. */
export type ExceptionState = {
  readonly secondsLeft: () => Iterable<readonly [id: string, seconds: number]>
  /** Every data file, with the number of its faults. */
  readonly dataFaults: () => Iterable<readonly [file: string, faults: number]>
}

export function createExceptionMetrics(registry: Registry, state: ExceptionState): ExceptionMetrics {
  const uses = new Counter({
    name: 'controller_exception_uses_total',
    help: 'Calls that an exception let pass.',
    labelNames: ['exception'],
    registers: [registry],
  })
  const left = new Gauge({
    name: 'controller_exception_expiry_seconds',
    help: 'Time until an exception expires; negative after it has expired.',
    labelNames: ['exception'],
    registers: [registry],
    collect() {
      for (const [exception, seconds] of state.secondsLeft()) left.set({ exception }, seconds)
    },
  })
  const faults = new Gauge({
    name: 'controller_policy_data_faults',
    help: 'Faults in the policy data, by file: exceptions without effect, or faults that prevent a file from coming into force.',
    labelNames: ['file'],
    registers: [registry],
    collect() {
      for (const [file, count] of state.dataFaults()) faults.set({ file }, count)
    },
  })
  guardCollector(left)
  guardCollector(faults)
  let known: readonly string[] = []
  return asObserver<ExceptionMetrics>({
    used: (exception) => uses.inc({ exception }),
    follow(ids) {
      for (const exception of known.filter((id) => !ids.includes(id))) uses.remove({ exception })
      for (const exception of ids) uses.inc({ exception }, 0)
      known = ids
      left.reset()
    },
  })
}
