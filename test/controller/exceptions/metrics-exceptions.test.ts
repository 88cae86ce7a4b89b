import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createExceptionMetrics, type ExceptionState } from '../../../src/controller/exceptions/metrics-exceptions.ts'

function setUp(state: Partial<ExceptionState> = {}) {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  const metrics = createExceptionMetrics(registry, { secondsLeft: () => [], dataFaults: () => [], ...state })
  const scrape = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line !== '')
  return { metrics, scrape }
}

test('uses count from zero on, and only exceptions in force have a series', async () => {
  const { metrics, scrape } = setUp()
  metrics.follow(['aaaaaaaa', 'bbbbbbbb'])
  metrics.used('aaaaaaaa')
  expect(await scrape()).toEqual([
    'controller_exception_uses_total{exception="aaaaaaaa"} 1',
    'controller_exception_uses_total{exception="bbbbbbbb"} 0',
  ])
  metrics.follow(['aaaaaaaa'])
  expect(await scrape()).toEqual(['controller_exception_uses_total{exception="aaaaaaaa"} 1'])
})

test('time left and faults are read at the scrape', async () => {
  let seconds = 60
  const { metrics, scrape } = setUp({
    secondsLeft: () => [['aaaaaaaa', seconds]],
    dataFaults: () => [
      ['exceptions.json', 2],
      ['blocked.json', 0],
    ],
  })
  metrics.follow(['aaaaaaaa'])
  seconds = -5
  expect(await scrape()).toEqual(
    expect.arrayContaining([
      'controller_exception_expiry_seconds{exception="aaaaaaaa"} -5',
      'controller_policy_data_faults{file="exceptions.json"} 2',
      'controller_policy_data_faults{file="blocked.json"} 0',
    ]),
  )
})

test('an exception that is gone leaves no time behind', async () => {
  let left: (readonly [string, number])[] = [['aaaaaaaa', 60]]
  const { metrics, scrape } = setUp({ secondsLeft: () => left })
  metrics.follow(['aaaaaaaa'])
  await scrape()
  left = []
  metrics.follow([])
  expect(await scrape()).toEqual([])
})
