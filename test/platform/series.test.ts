import { Counter, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { adding, observing, oncePerPair } from '../../src/platform/series.ts'

const EXEMPLAR = { trace_id: '0af7651916cd43dd8448eb211c80319c' }

const metricsIn = (fill: (registry: Registry) => void): Promise<string> => {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  fill(registry)
  return registry.metrics()
}
const counterIn = (registry: Registry) =>
  new Counter({ name: 'a_total', help: 'a', labelNames: ['x', 'y'], registers: [registry], enableExemplars: true })
const histogramIn = (registry: Registry) =>
  new Histogram({
    name: 'b_seconds',
    help: 'b',
    labelNames: ['x'],
    buckets: [0.001, 0.5, 1],
    registers: [registry],
    enableExemplars: true,
  })
const withoutTimes = (text: string): string => text.replaceAll(/(# \{.*\} \S+) \S+$/gm, '$1')

test('a scrape shows the same as if each event had passed through prom-client', async () => {
  const values = [0, 0.001, 0.0011, 0.5, 0.7, 1, 1.1, 100]
  const direct = await metricsIn((registry) => {
    const counter = counterIn(registry)
    const histogram = histogramIn(registry)
    for (const value of values) {
      counter.inc({ labels: { x: 'p', y: 'q' }, value: 2 })
      histogram.observe({ labels: { x: 'p' }, value })
    }
    counter.inc({ labels: { x: 'p', y: 'r' }, value: 0 })
  })
  const quick = await metricsIn((registry) => {
    const counter = counterIn(registry)
    const add = adding(counter, { x: 'p', y: 'q' })
    const observe = observing(histogramIn(registry), { x: 'p' })
    for (const value of values) {
      add(2)
      observe(value)
    }
    adding(counter, { x: 'p', y: 'r' })
  })
  expect(quick).toBe(direct)
  expect(quick).toContain('a_total{x="p",y="q"} 16')
  expect(quick).toContain('b_seconds_bucket{le="0.5",x="p"} 4')
})

test('what was counted before goes on', async () => {
  const text = await metricsIn((registry) => {
    const counter = counterIn(registry)
    counter.inc({ labels: { x: 'p', y: 'q' }, value: 3 })
    adding(counter, { x: 'p', y: 'q' })(1)
    counter.inc({ labels: { x: 'p', y: 'q' }, value: 5 })
  })
  expect(text).toContain('a_total{x="p",y="q"} 9')
})

test('an event with an exemplar keeps it, and counts with the others', async () => {
  const text = await metricsIn((registry) => {
    const add = adding(counterIn(registry), { x: 'p', y: 'q' })
    const observe = observing(histogramIn(registry), { x: 'p' })
    add(1)
    add(1, EXEMPLAR)
    observe(0.2)
    observe(0.7, EXEMPLAR)
  })
  const exemplar = `# {trace_id="${EXEMPLAR.trace_id}"}`
  expect(withoutTimes(text)).toContain(`a_total{x="p",y="q"} 2 ${exemplar} 2`)
  expect(withoutTimes(text)).toContain(`b_seconds_bucket{le="1",x="p"} 2 ${exemplar} 0.7`)
  expect(text).toContain('b_seconds_count{x="p"} 2')
})

test('makes each pair once', () => {
  const made: string[] = []
  const of = oncePerPair((a, b) => made.push(`${a}${b}`))
  expect([of('a', 'b'), of('a', 'c'), of('a', 'b'), of('ab', ''), of('a', 'c')]).toEqual([1, 2, 1, 3, 2])
  expect(made).toEqual(['ab', 'ac', 'ab'])
})
