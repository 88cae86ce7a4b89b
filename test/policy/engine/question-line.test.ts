// Deadlines of questions in line and in batches: each question has its own, from when it was asked.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Decision } from '../../../src/core/decision.ts'
import type { AppError } from '../../../src/core/errors.ts'
import { OpenQuestion } from '../../../src/policy/engine/open-question.ts'
import type { OpaPoster } from '../../../src/policy/engine/opa-post.ts'
import { createQuestionLine } from '../../../src/policy/engine/question-line.ts'
import { pdpResult } from '../../fakes/pdp.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'

type Sent = { readonly ids: readonly string[]; readonly answer: () => void; isAborted: boolean }
type Asked = { readonly question: OpenQuestion; readonly id: string; outcome: () => string }

const TIMEOUT_MS = 100
let clock = 0
beforeEach(() => {
  clock = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})
function pass(ms: number): void {
  clock += ms
  vi.advanceTimersByTime(ms)
}

/** A line before an OPA that answers when the test says. */
function setUp() {
  const sent: Sent[] = []
  const poster: OpaPoster = {
    post({ body, onEnd }) {
      const { input } = JSON.parse(body) as { input: { items?: Input[] } & Input }
      type Input = { context: { decision_id: string } }
      const ids = (input.items ?? [input]).map(({ context }) => context.decision_id)
      const results = ids.map((id) => pdpResult(id))
      const answer = (): void => onEnd(JSON.stringify({ result: input.items === undefined ? results[0] : results }))
      const one: Sent = { ids, answer, isAborted: false }
      sent.push(one)
      const abort = (): void => {
        one.isAborted = true
        onEnd('aborted')
      }
      return { abort, distrust: () => undefined }
    },
    close: () => Promise.resolve(),
  }
  const line = createQuestionLine(poster)
  const ask = (): Asked => {
    let outcome = 'open'
    const input = policyInput(STREAMING, 'stream:text_events')
    const settle = (given: Decision | AppError): void => {
      outcome = 'decision' in given ? given.decision : given.code
    }
    const question = new OpenQuestion({ input, trace: null, timeoutMs: TIMEOUT_MS, now: () => clock, settle })
    line.ask(question)
    return { question, id: input.context.decision_id, outcome: () => outcome }
  }
  return { sent, ask }
}

test('the time in line counts', () => {
  const { sent, ask } = setUp()
  ask()
  ask()
  pass(60)
  const third = ask()
  const fourth = ask()
  expect(sent).toHaveLength(2)
  pass(40)
  // The first two are over, and what waited goes.
  expect(sent.map(({ ids, isAborted }) => [ids.length, isAborted])).toEqual([
    [1, true],
    [1, true],
    [2, false],
  ])
  pass(60)
  expect([third.outcome(), fourth.outcome()]).toEqual(['policy_engine_unavailable', 'policy_engine_unavailable'])
  expect(sent[2]?.isAborted).toBe(true)
})

test('a question whose time is over is not sent any more', () => {
  const { sent, ask } = setUp()
  ask()
  ask()
  const third = ask()
  pass(50)
  const fourth = ask()
  const fifth = ask()
  pass(50)
  expect(third.outcome()).toBe('policy_engine_unavailable')
  expect(sent[2]?.ids).toEqual([fourth.id, fifth.id])
})

test('a batch goes on for the others when the time of one is over', () => {
  const { sent, ask } = setUp()
  ask()
  ask()
  const third = ask()
  pass(50)
  const fourth = ask()
  sent[0]?.answer()
  expect(sent[2]?.ids).toEqual([third.id, fourth.id])
  pass(50)
  expect([third.outcome(), sent[2]?.isAborted]).toEqual(['policy_engine_unavailable', false])
  sent[2]?.answer()
  expect(fourth.outcome()).toBe('allow')
})

test('an answer to a batch that comes late decides nothing, even before the timers fire', () => {
  const { sent, ask } = setUp()
  ask()
  ask()
  const third = ask()
  const fourth = ask()
  sent[0]?.answer()
  // A stalled event loop: the clock is ahead of the timers.
  clock += 101
  sent[2]?.answer()
  expect([third.outcome(), fourth.outcome()]).toEqual(['policy_engine_unavailable', 'policy_engine_unavailable'])
})
