// The metric of dropped lines of the application log, which the log itself cannot report reliably.
import { Counter } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

/** `droppedLines`: how many since the start; read at each scrape. */
export function createLogMetrics(registry: Registry, droppedLines: () => number): void {
  let counted = 0
  const dropped = new Counter({
    name: 'controller_log_lines_dropped_total',
    help: 'Lines of the application log that were dropped because the reader was too slow.',
    registers: [registry],
    collect() {
      const now = droppedLines()
      dropped.inc(now - counted)
      counted = now
    },
  })
  guardCollector(dropped)
}
