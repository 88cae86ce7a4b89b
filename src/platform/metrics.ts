// The metrics registry of a process: OpenMetrics text (exemplars need it), Node's own metrics included.
import { performance } from 'node:perf_hooks'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { within } from './within.ts'

export type { Registry } from 'prom-client'

/**
 * A registry whose `contentType` and `metrics()` go to the scraper unchanged. A collector that throws, as
 * `process.memoryUsage` does when no file descriptor is left, affects its own metric and never the whole scrape.
 */
export function createRegistry(): Registry {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: LAG_PRECISION_MS,
    eventLoopUtilizationTimeout: MAX_TIMER_MS,
  })
  addLoopUtilization(registry)
  for (const metric of registry.getMetricsAsArray()) guardCollector(metric)
  return registry
}

const COLLECT_MS = 1000
/** Each sample wakes an idle process. */
const LAG_PRECISION_MS = 1000
const MAX_TIMER_MS = 2_147_483_647

/** In place of a summary and a histogram that are fed ten times a second, which was a twentieth of an idle process. */
function addLoopUtilization(registry: Registry): void {
  for (const name of ['summary', 'histogram']) registry.removeSingleMetric(`nodejs_eventloop_utilization_${name}`)
  let last = performance.eventLoopUtilization()
  const gauge: Gauge = new Gauge({
    name: 'nodejs_eventloop_utilization',
    help: 'Part of the time since the last scrape in which the event loop was not idle',
    registers: [registry],
    collect() {
      const now = performance.eventLoopUtilization()
      gauge.set(performance.eventLoopUtilization(now, last).utilization)
      last = now
    },
  })
}

/** Ensures that a metric's `collect` cannot fail the scrape or delay it for more than a second. */
export function guardCollector(metric: object): void {
  const { collect } = metric as { collect?: (this: object) => unknown }
  if (collect === undefined) return
  const guarded = async (): Promise<void> => {
    try {
      const collecting = collect.call(metric)
      if (collecting instanceof Promise) await within(COLLECT_MS, collecting)
    } catch {
      // The metric keeps its last value, and its graph stands still.
    }
  }
  Object.assign(metric, { collect: guarded })
}
