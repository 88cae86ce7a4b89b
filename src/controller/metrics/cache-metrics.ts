// Metrics of the decision cache, read from its own counts at each scrape; only with CRANK_DECISION_CACHE=on.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { BYPASSES, type CacheCounts } from '../../policy/decision-cache.ts'

export function createCacheMetrics(registry: Registry, counts: () => CacheCounts): void {
  const registers = [registry]
  const lookups = new Counter({
    name: 'controller_decision_cache_total',
    help: 'Decisions about calls: repeated (hit), kept (miss), or neither (bypass, with the reason).',
    labelNames: ['result', 'reason'],
    registers,
    collect() {
      const { hit, miss, bypass } = counts()
      lookups.reset()
      lookups.inc({ result: 'hit', reason: '' }, hit)
      lookups.inc({ result: 'miss', reason: '' }, miss)
      for (const reason of BYPASSES) lookups.inc({ result: 'bypass', reason }, bypass[reason])
    },
  })
  const entries = new Gauge({
    name: 'controller_decision_cache_entries',
    help: 'Decisions that may be repeated.',
    registers,
    collect() {
      entries.set(counts().entries)
    },
  })
  for (const metric of [lookups, entries]) guardCollector(metric)
}
