import { describe, expect, test } from 'vitest'
import { formatTraceparent, parseTraceparent, validTracestate } from '../../src/core/trace-context.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

describe('traceparent', () => {
  test('is read and written back unchanged', () => {
    for (const flags of ['00', '01', '02', '03']) {
      const header = `00-${traceId}-${spanId}-${flags}`
      expect(formatTraceparent(parseTraceparent(header)!)).toBe(header)
    }
  })

  test('flags that are not defined are not passed on', () => {
    expect(formatTraceparent(parseTraceparent(`00-${traceId}-${spanId}-ff`)!)).toBe(`00-${traceId}-${spanId}-03`)
  })

  test('of a version to come is read as far as it is known', () => {
    for (const header of [`01-${traceId}-${spanId}-01`, `cc-${traceId}-${spanId}-01-what-the-future-brings`]) {
      expect(parseTraceparent(header)).toEqual({ traceId, spanId, sampled: true })
    }
  })

  const bad = {
    'an absent header': undefined,
    'two headers joined': `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
    'upper case': `00-${traceId.toUpperCase()}-${spanId}-01`,
    'a zero trace id': `00-${'0'.repeat(32)}-${spanId}-01`,
    'a zero span id': `00-${traceId}-${'0'.repeat(16)}-01`,
    'the version that is none': `ff-${traceId}-${spanId}-01`,
    'more than version 00 has': `00-${traceId}-${spanId}-01-02`,
    'a future version with something glued on': `01-${traceId}-${spanId}-01.02`,
    'a line feed at the end': `00-${traceId}-${spanId}-01\n`,
    'a short id': `00-${traceId.slice(1)}-${spanId}-01`,
  }
  for (const [name, header] of Object.entries(bad)) {
    test(`starts a new trace for ${name}`, () => expect(parseTraceparent(header)).toBeUndefined())
  }
})

describe('tracestate', () => {
  test('passes when well-formed', () => {
    for (const header of ['a=1', 'vendor=x,other@system=y z!', 'a=1, b=2']) expect(validTracestate(header)).toBe(header)
  })
  test('passes with empty members, which count for nothing', () => {
    const full = Array.from({ length: 32 }, (_, i) => `k${i}=v`).join(',,')
    for (const header of ['a=1,,b=2', 'a=1,', ',a=1', 'a=1, ,\tb=2', full]) expect(validTracestate(header)).toBe(header)
  })
  test('is dropped when malformed or over its limits', () => {
    const many = Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(',')
    for (const header of [undefined, '', 'a', '=1', 'A=1', ',,', ' , ', 'a=\u0001', `a=${'x'.repeat(600)}`, many]) {
      expect(validTracestate(header)).toBeUndefined()
    }
  })
})
