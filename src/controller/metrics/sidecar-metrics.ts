// Metrics of what a sidecar is asked, read from the engine's own counts at each scrape; only with OPA_URL.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import type { OpaTraffic } from '../../policy/engine/question-line.ts'

export function createSidecarMetrics(registry: Registry, traffic: () => OpaTraffic): void {
  const registers = [registry]
  const questions = new Counter({
    name: 'controller_policy_questions_total',
    help: 'Questions to the OPA sidecar: alone, or in a batch with others.',
    labelNames: ['form'],
    registers,
    collect() {
      const { alone, batched } = traffic()
      questions.reset()
      questions.inc({ form: 'alone' }, alone)
      questions.inc({ form: 'batch' }, batched)
    },
  })
  const batches = new Counter({
    name: 'controller_policy_batches_total',
    help: 'Batches of questions sent to the OPA sidecar.',
    registers,
    collect() {
      batches.reset()
      batches.inc(traffic().batches)
    },
  })
  const missing = new Gauge({
    name: 'controller_policy_batches_missing',
    help: '1 while the OPA sidecar has no entry point for batches and is asked about each call alone.',
    registers,
    collect() {
      missing.set(traffic().lacksBatches ? 1 : 0)
    },
  })
  for (const metric of [questions, batches, missing]) guardCollector(metric)
}
