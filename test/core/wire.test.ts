import { describe, expect, test } from 'vitest'
import { CapabilitySchema, HeartbeatBody, RegisterBody, RouteBody } from '../../src/core/wire.ts'
import { createSchemaCheck } from '../../src/worker/schema-check.ts'

const schema = { type: 'object' }
const capability = { verb: 'echo', name: 'text', version: '1.0.0', input_schema: schema, output_schema: schema }

type Case = [schema: object, good: Record<string, unknown>, bad: Record<string, unknown[]>]
const cases: Record<string, Case> = {
  RouteBody: [
    RouteBody,
    {
      verb: 'echo',
      capability: 'text',
      payload: { any: ['thing'] },
      idempotency_key: 'k~1',
      priority: 'low',
      timeout_ms: 300_000,
    },
    {
      verb: ['', 'Echo', 'a:b', 'x'.repeat(65), 1],
      capability: ['to text', 'über', null],
      idempotency_key: ['', 'é', 'x'.repeat(129), 'a\n'],
      priority: ['urgent', 'HIGH', null],
      timeout_ms: [0, 300_001, 1.5, '10'],
      caller: ['spiffe://crank.local/worker/other'],
    },
  ],
  CapabilitySchema: [
    CapabilitySchema,
    { ...capability, slo: { p95_ms: 0.5 }, streaming: true, tags: ['a'], max_concurrency: 1 },
    {
      version: ['1', '1.0', 'v1.0.0', '01.0.0', '1.0.0 '],
      input_schema: [{}, { type: 7 }, 'object', null],
      error_codes: [[{ code: 'A B', description: 'x', retryable: true }], [{ code: 'A', description: 'x' }]],
      slo: [{}, { p95_ms: 0 }, { p99_9_ms: 1 }],
      max_concurrency: [0, '1'],
      colour: ['red'],
    },
  ],
  RegisterBody: [
    RegisterBody,
    { worker_id: 'worker-echo.replica-2', worker_url: 'https://127.0.0.1:8443', capabilities: [capability] },
    {
      worker_id: ['', 'a/b', 'a.b.c', 'a.', 'x'.repeat(65)],
      worker_url: ['', 'x'.repeat(2049)],
      capabilities: [[], Array(65).fill(capability), [{ ...capability, verb: undefined }]],
      spiffe_id: ['spiffe://crank.local/worker/other'],
    },
  ],
  HeartbeatBody: [
    HeartbeatBody,
    { worker_id: 'worker-echo', lease: 'l', load: 0 },
    { lease: ['', 'a b', 7], load: [-1, 0.5, '1'], status: ['fine'] },
  ],
}

for (const [name, [wire, good, bad]] of Object.entries(cases)) {
  describe(name, () => {
    const check = createSchemaCheck(wire, 'body')

    test('takes a good one', () => {
      expect(check(good)).toBeUndefined()
    })

    for (const [member, values] of Object.entries(bad)) {
      for (const value of values) {
        test(`refuses ${member} ${JSON.stringify(value).slice(0, 40)}`, () => {
          expect(check({ ...good, [member]: value })).toBeTypeOf('string')
        })
      }
    }

    for (const body of [null, [], 'x', 7]) {
      test(`refuses ${JSON.stringify(body)}`, () => {
        expect(check(body)).toBe('body must be object')
      })
    }
  })
}
