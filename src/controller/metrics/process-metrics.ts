// Metrics of the processes of a controller, which its parent counts.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

type ProcessState = { readonly of: number; readonly serving: () => number }

/** `ended`: a process has ended before its time. */
export function createProcessMetrics(
  registry: Registry,
  { of, serving }: ProcessState,
): { readonly ended: () => void } {
  const registers = [registry]
  const processes = new Gauge<'state'>({
    name: 'controller_processes',
    help: 'Processes that serve, and those that should (CRANK_PROCESSES). Absent for a controller of one process.',
    labelNames: ['state'],
    registers,
    collect() {
      processes.set({ state: 'wanted' }, of)
      processes.set({ state: 'serving' }, serving())
    },
  })
  guardCollector(processes)
  const ends = new Counter({
    name: 'controller_process_ends_total',
    help: 'Processes that ended before their time, and were replaced.',
    registers,
  })
  return { ended: () => ends.inc() }
}
