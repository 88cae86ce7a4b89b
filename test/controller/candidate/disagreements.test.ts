import { expect, test } from 'vitest'
import type { Comparison } from '../../../src/controller/candidate/candidate.ts'
import { createDisagreementLog } from '../../../src/controller/candidate/disagreements.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'

type Word = 'allow' | 'deny'

function comparison(active: Word, candidate: Word): Comparison {
  const reasons = (word: Word) => (word === 'deny' ? [{ code: 'capability_not_declared', message: 'no' }] : [])
  const common = { mode: 'enforce', grounds: [], exception: null, policyVersion: '1' } as const
  return {
    input: policyInput(STREAMING, 'a:b'),
    trace: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true },
    active: { ...common, decision: active, reasons: reasons(active) },
    candidate: { decision: candidate, mode: 'enforce', reasons: reasons(candidate) },
  }
}

function setUp() {
  const lines: Record<string, unknown>[] = []
  const at = { ms: 0 }
  const note = (fields: object): void => void lines.push(fields as Record<string, unknown>)
  const log = { info: note, warn: note, error: note }
  return { lines, at, record: createDisagreementLog({ log, perSecond: 2, monotonic: () => at.ms }) }
}

test('a disagreement is logged with both decisions, their reasons and the ids of the call, agreement is not', () => {
  const { lines, record } = setUp()
  record(comparison('allow', 'allow'))
  const differs = comparison('allow', 'deny')
  record(differs)
  expect(lines).toEqual([
    {
      event: 'candidate_disagrees',
      requester: STREAMING,
      capability: 'a:b',
      active: 'allow',
      candidate: 'deny',
      active_reasons: [],
      candidate_reasons: ['capability_not_declared'],
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      span_id: 'b7ad6b7169203331',
      decision_id: differs.input.context.decision_id,
      suppressed: 0,
    },
  ])
})

test('so many a second are logged, the next one reports how many were left out', () => {
  const { lines, at, record } = setUp()
  for (let n = 0; n < 7; n++) record(comparison('deny', 'allow'))
  at.ms = 999
  record(comparison('deny', 'allow'))
  expect(lines).toHaveLength(2)
  at.ms = 1000
  record(comparison('deny', 'allow'))
  record(comparison('deny', 'allow'))
  expect(lines.map(({ suppressed }) => suppressed)).toEqual([0, 0, 6, 0])
})
