// The metric of the application log, which no line of that log can stand in for.
import { Counter } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

/** `droppedLines`: how many since the start; read at the time of a scrape. */
export function createLogMetrics(registry: Registry, droppedLines: () => number): void {
  let counted = 0
  const dropped = new Counter({
    name: 'controller_log_lines_dropped_total',
    help: 'Lines of the application log that were dropped, because nobody took them in time.',
    registers: [registry],
    collect() {
      const now = droppedLines()
      dropped.inc(now - counted)
      counted = now
    },
  })
  guardCollector(dropped)
}
