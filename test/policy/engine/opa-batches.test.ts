// Questions that wait go to OPA together. Whatever a batch answers, each question gets its own decision or none.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AskedTrace, Decision, PolicyInput } from '../../../src/core/decision.ts'
import type { TraceContext } from '../../../src/core/trace-context.ts'
import { createOpaHttp } from '../../../src/policy/engine/opa-http.ts'
import {
  pdpAnswer,
  pdpDenial,
  pdpResult,
  startFakePdp,
  type FakePdp,
  type PdpAnswer,
  type PdpBatchLie,
  type PdpRequest,
} from '../../fakes/pdp.ts'
import { policyInput, registrationInput, STREAMING } from '../../fixtures/policy-input.ts'

const TEXT = 'stream:text_events'
const idOf = ({ body }: PdpRequest): string => body.input.context.decision_id
const honest = (request: PdpRequest): PdpAnswer => {
  const { capability } = request.body.input['action'] as { capability: string }
  return pdpAnswer(capability === 'text_events' ? pdpResult(idOf(request)) : pdpDenial(idOf(request)))
}

let pdp: FakePdp
let engine: ReturnType<typeof createOpaHttp>
beforeAll(async () => {
  pdp = await startFakePdp(honest)
})
afterAll(() => pdp.close())
beforeEach(() => {
  pdp.answer(honest)
  pdp.lieInBatches(undefined)
  engine = createOpaHttp({ target: { kind: 'tcp', origin: pdp.origin }, timeoutMs: 20_000 })
  return () => engine.close()
})

const ask = (capability = TEXT, trace: AskedTrace | null = null): Promise<Decision> =>
  engine.decide('capability_access', policyInput(STREAMING, capability), trace)

/** Asks two questions that stay unanswered, and `more` that wait for them; `release` answers the two. */
async function hold<T>(more: () => T): Promise<{ waiting: T; release: () => Promise<unknown> }> {
  const held = Promise.withResolvers<undefined>()
  const before = pdp.requests.length
  pdp.answer(async (request) => {
    await held.promise
    return honest(request)
  })
  const first = Promise.all([ask(), ask()])
  await expect.poll(() => pdp.requests.length - before).toBe(2)
  const waiting = more()
  pdp.answer(honest)
  const release = (): Promise<unknown> => {
    held.resolve(undefined)
    return first
  }
  return { waiting, release }
}

/** The sizes of the batches that `work` needed. */
async function batchesOf(work: () => Promise<unknown>): Promise<number[]> {
  const before = pdp.batches.length
  await work()
  return pdp.batches.slice(before)
}

describe('what waits is asked together', () => {
  test('one question after another goes alone', async () => {
    const batches = await batchesOf(async () => {
      for (let n = 0; n < 5; n++) await ask()
    })
    expect([batches, engine.traffic()]).toEqual([[], { alone: 5, batches: 0, batched: 0, lacksBatches: false }])
  })

  test('behind two POSTs the others wait, and each gets its own answer', async () => {
    const capabilities = [TEXT, 'convert:document_to_pdf', TEXT, 'store:zettel']
    const batches = await batchesOf(async () => {
      const { waiting, release } = await hold(() => capabilities.map((capability) => ask(capability)))
      await release()
      const decisions = await Promise.all(waiting)
      expect(decisions.map(({ decision }) => decision)).toEqual(['allow', 'deny', 'allow', 'deny'])
    })
    expect(batches).toEqual([4])
  })

  test('at most 32 at a time', async () => {
    const batches = await batchesOf(async () => {
      const { waiting, release } = await hold(() => Array.from({ length: 80 }, () => ask()))
      await release()
      await Promise.all(waiting)
    })
    expect(batches).toEqual([32, 32, 16])
  })

  test('a batch tells OPA to record nothing of it, and asks for the revision', async () => {
    const { waiting, release } = await hold(() => [ask(), ask()])
    await release()
    await Promise.all(waiting)
    expect(pdp.requests.at(-1)!.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  })

  test('a registration and a question of the controller itself wait for nobody', async () => {
    const registration = registrationInput(STREAMING, 'worker-streaming', ['stream:sse_events'])
    const { waiting, release } = await hold(() => [ask(), ask()])
    const own = await engine.decide('capability_access', policyInput(STREAMING, TEXT))
    const registered = await engine.decide('worker_registration', registration, null)
    expect([own.decision, registered.decision]).toEqual(['allow', 'deny'])
    await release()
    await Promise.all(waiting)
  })

  test('a kept connection that turns out to be dead costs no decision', async () => {
    const { waiting, release } = await hold(() => [ask(), ask(), ask()])
    let isFirst = true
    pdp.lieInBatches(() => {
      const answer = isFirst ? 'reset' : undefined
      isFirst = false
      return answer
    })
    await release()
    expect((await Promise.all(waiting)).map(({ decision }) => decision)).toEqual(['allow', 'allow', 'allow'])
  })
})

type Result = Record<string, unknown>
const replaced = (results: readonly unknown[], at: number, by: unknown): PdpAnswer =>
  pdpAnswer(results.map((result, index) => (index === at ? by : result)))

/** `yes`: decided, `no`: failed as `policy_engine_error`; for four waiting questions. */
async function outcomesOf(lie: PdpBatchLie): Promise<string[]> {
  const { waiting, release } = await hold(() => [ask(), ask(), ask(), ask()])
  pdp.lieInBatches(lie)
  await release()
  const results = await Promise.allSettled(waiting)
  return results.map((result) => {
    if (result.status === 'fulfilled') return result.value.decision === 'allow' ? 'yes' : 'deny'
    return (result.reason as { code: string }).code === 'policy_engine_error' ? 'no' : String(result.reason)
  })
}

describe('one wrong answer harms only its own question', () => {
  const lies: Record<string, PdpBatchLie> = {
    'null, the undefined decision': (results) => replaced(results, 1, null),
    'an empty object': (results) => replaced(results, 1, {}),
    true: (results) => replaced(results, 1, true),
    'allow as text': (results) => replaced(results, 1, { ...(results[1] as Result), allow: 'true' }),
    'another decision id': (results) => replaced(results, 1, pdpResult('01900000-0000-7000-8000-000000000000')),
    'no decision id': (results) => replaced(results, 1, { ...(results[1] as Result), decision_id: undefined }),
    'the answer to another item, twice': (results) => replaced(results, 1, results[0]),
    'an allow with reasons against it': (results) =>
      replaced(results, 1, { ...pdpDenial((results[1] as { decision_id: string }).decision_id), allow: true }),
    'an unknown member': (results) => replaced(results, 1, { ...(results[1] as Result), override: true }),
  }
  test.each(Object.entries(lies))('%s', async (_what, lie) => {
    expect(await outcomesOf(lie)).toEqual(['yes', 'no', 'yes', 'yes'])
  })

  test('two answers in each other’s place harm those two', async () => {
    const swapped: PdpBatchLie = ([first, second, ...rest]) => pdpAnswer([second, first, ...rest])
    expect(await outcomesOf(swapped)).toEqual(['no', 'no', 'yes', 'yes'])
  })
})

describe('an answer that says nothing fails all of its questions', () => {
  const lies: Record<string, PdpBatchLie> = {
    'no list': (results) => pdpAnswer(results[0]),
    'an object with numbers for names': (results) => pdpAnswer(Object.fromEntries(results.entries())),
    'one answer too few': (results) => pdpAnswer(results.slice(1)),
    'one answer too many': (results) => pdpAnswer([...results, results[0]]),
    '33 answers': (results) => pdpAnswer(Array.from({ length: 33 }, () => results[0])),
    'an empty list': () => pdpAnswer([]),
    'result null': () => pdpAnswer(null),
    'result true': () => pdpAnswer(true),
    'two results': (results) => ({
      body: `{"result":${JSON.stringify(results)},"result":${JSON.stringify(results)}}`,
    }),
    HTML: () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' }),
    'cut JSON': (results) => ({ body: JSON.stringify({ result: results }).slice(0, -2) }),
    'more than 64 KiB for each': (results) => ({ body: JSON.stringify({ result: results }) + ' '.repeat(257 * 1024) }),
    'answers to other questions only': (results) =>
      pdpAnswer(results.map(() => pdpResult('01900000-0000-7000-8000-000000000000'))),
  }
  test.each(Object.entries(lies))('%s', async (_what, lie) => {
    expect(await outcomesOf(lie)).toEqual(['no', 'no', 'no', 'no'])
    pdp.lieInBatches(undefined)
    // The next batch is as good as ever.
    expect(await outcomesOf(() => undefined)).toEqual(['yes', 'yes', 'yes', 'yes'])
  })

  test('after answers to other questions only, no connection is used again', async () => {
    await outcomesOf((results) => pdpAnswer(results.map(() => pdpResult('01900000-0000-7000-8000-000000000000'))))
    const spoiled = new Set(pdp.requests.map(({ connection }) => connection))
    await ask()
    expect(spoiled).not.toContain(pdp.requests.at(-1)!.connection)
  })

  test('a reset is no answer', async () => {
    const { waiting, release } = await hold(() => [ask(), ask()])
    pdp.lieInBatches(() => 'reset')
    await release()
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
  })
})

describe('an OPA without the entry point for batches', () => {
  const lacking: Record<string, PdpAnswer> = {
    'does not define it': { body: '{}' },
    'does not permit it': { status: 401, body: '{"code":"unauthorized"}' },
    'does not find it': { status: 404, body: '{}' },
    'has an authorisation that is undefined for it': { status: 500, body: '{"code":"internal_error"}' },
  }
  test.each(Object.entries(lacking))('%s: no call fails, and all are asked alone', async (_what, answer) => {
    expect(await outcomesOf(() => answer)).toEqual(['yes', 'yes', 'yes', 'yes'])
    expect(engine.traffic().lacksBatches).toBe(true)
    expect(await batchesOf(() => Promise.all(Array.from({ length: 50 }, () => ask())))).toEqual([])
  })

  test('is asked in batches again when it has answered one', async () => {
    const inputs = (): PolicyInput[] => [policyInput(STREAMING, TEXT), policyInput(STREAMING, 'store:zettel')]
    pdp.lieInBatches(() => ({ body: '{}' }))
    const alone = await engine.decideTogether(inputs())
    expect([alone.map(({ decision }) => decision), engine.traffic().lacksBatches]).toEqual([['allow', 'deny'], true])
    pdp.lieInBatches(undefined)
    const together = await engine.decideTogether(inputs())
    expect([together, engine.traffic().lacksBatches]).toEqual([alone, false])
    expect(await outcomesOf(() => undefined)).toEqual(['yes', 'yes', 'yes', 'yes'])
  })
})

describe('a call whose span is recorded', () => {
  const contextOf = (n: number): TraceContext => {
    return { traceId: 'a'.repeat(31) + String(n % 10), spanId: 'b'.repeat(15) + String(n % 10), sampled: true }
  }
  const BATCH: TraceContext = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), sampled: true }

  function recorded(n: number, events: string[]): AskedTrace {
    const startBatch = (size: number) => {
      events.push(`${n} starts a batch of ${size}`)
      return { trace: BATCH, end: () => events.push('the batch ends') }
    }
    const linkTo = ({ spanId }: TraceContext) => void events.push(`${n} links to ${spanId[0]}`)
    return { ...contextOf(n), recorded: { startBatch, linkTo } }
  }

  test('is asked alone, eight at a time; others join a batch, to whose span theirs link', async () => {
    const events: string[] = []
    const before = pdp.requests.length
    const held = Promise.withResolvers<undefined>()
    pdp.answer(async (request) => {
      await held.promise
      return honest(request)
    })
    const traced = Array.from({ length: 8 }, (_, n) => ask(TEXT, recorded(n, events)))
    await expect.poll(() => pdp.requests.length - before).toBe(8)
    const others = [ask(), ask(), ask(), ask(TEXT, recorded(8, events)), ask(TEXT, recorded(9, events))]
    await expect.poll(() => pdp.requests.length - before).toBe(10)
    pdp.answer(honest)
    held.resolve(undefined)
    await Promise.all([...traced, ...others])
    const asked = pdp.requests.slice(before)
    const ownTraces = asked.filter(({ headers }) => headers['traceparent']?.includes('-bbb'))
    expect(ownTraces).toHaveLength(8)
    expect(asked.at(-1)!.headers['traceparent']).toBe(`00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`)
    expect(events).toEqual(['8 starts a batch of 3', '8 links to d', '9 links to d', 'the batch ends'])
  })
})
