// What a scraper asks for is what it gets: the format by Accept, gzip by Accept-Encoding.
import { gunzipSync } from 'node:zlib'
import { Counter, Histogram, Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { scrapeFor } from '../../../src/controller/metrics/scrape-format.ts'

const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
const TEXT = 'text/plain; version=0.0.4; charset=utf-8'

function registryWithCalls(): Registry {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  const options = { labelNames: ['who'], registers: [registry], enableExemplars: true }
  const calls = new Counter({ ...options, name: 'calls_total', help: 'Calls.' })
  const seconds = new Histogram({ ...options, name: 'call_seconds', help: 'Time of a call.', buckets: [1] })
  const exemplar = { exemplarLabels: { trace_id: 'abc' } }
  calls.inc({ labels: { who: 'a' }, value: 2, ...exemplar } as object)
  seconds.observe({ labels: { who: 'a' }, value: 0.5, ...exemplar } as never)
  return registry
}

describe('the format of a scrape', () => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1'
  for (const [accept, type] of [
    [undefined, OPEN_METRICS],
    ['*/*', OPEN_METRICS],
    [prometheus, OPEN_METRICS],
    ['application/openmetrics-text', OPEN_METRICS],
    ['text/plain;version=0.0.4', TEXT],
    ['text/plain', TEXT],
    ['Text/Plain; version=0.0.4; q=0.9, application/openmetrics-text; q=0.1', TEXT],
    ['text/plain, */*;q=0.1', TEXT],
    ['text/*', TEXT],
    ['application/openmetrics-text;q=0, */*', TEXT],
    ['application/json', TEXT],
  ] as const) {
    test(`is ${type.split(';')[0]!} for ${accept?.slice(0, 70) ?? 'no Accept'}`, async () => {
      const { headers, body } = await scrapeFor(registryWithCalls(), { accept })
      expect(headers).toMatchObject({ 'content-type': type, vary: 'accept, accept-encoding' })
      expect(String(body).endsWith('# EOF\n')).toBe(type === OPEN_METRICS)
    })
  }

  test('as text has no exemplars, and counters by their full name', async () => {
    const { body } = await scrapeFor(registryWithCalls(), { accept: 'text/plain;version=0.0.4' })
    expect(body).toBe(`# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{who="a"} 2
# HELP call_seconds Time of a call.
# TYPE call_seconds histogram
call_seconds_bucket{le="1",who="a"} 1
call_seconds_bucket{le="+Inf",who="a"} 1
call_seconds_sum{who="a"} 0.5
call_seconds_count{who="a"} 1
`)
  })
})

describe('gzip', () => {
  for (const asked of ['gzip', 'deflate, gzip;q=0.5', '*', 'GZIP']) {
    test(`is sent to who asks for it: ${asked}`, async () => {
      const { headers, body } = await scrapeFor(registryWithCalls(), { 'accept-encoding': asked })
      expect(headers).toMatchObject({ 'content-encoding': 'gzip', 'content-type': OPEN_METRICS })
      expect(gunzipSync(body as Buffer).toString()).toContain('calls_total{who="a"} 2')
    })
  }
  for (const asked of [undefined, '', 'identity', 'deflate', 'gzip;q=0']) {
    test(`is not sent for ${asked ?? 'no Accept-Encoding'}`, async () => {
      const { headers, body } = await scrapeFor(registryWithCalls(), { 'accept-encoding': asked })
      expect(headers).not.toHaveProperty('content-encoding')
      expect(body).toContain('calls_total')
    })
  }
})
