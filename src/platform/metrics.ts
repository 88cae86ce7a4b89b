// The metrics registry of a process: OpenMetrics text (exemplars need it), Node's own metrics included.
import { collectDefaultMetrics, Registry } from 'prom-client'
import { within } from './within.ts'

export type { Registry } from 'prom-client'

/**
 * A registry whose `contentType` and `metrics()` go to the scraper unchanged. A collector that throws, as
 * `process.memoryUsage` does when no file descriptor is left, affects its own metric and never the whole scrape.
 */
export function createRegistry(): Registry {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  collectDefaultMetrics({ register: registry })
  for (const metric of registry.getMetricsAsArray()) guardCollector(metric)
  return registry
}

const COLLECT_MS = 1000

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
