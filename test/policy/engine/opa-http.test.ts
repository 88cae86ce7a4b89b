import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createOpaHttp } from '../../../src/policy/engine/opa-http.ts'
import type { Decision, PolicyEngine } from '../../../src/core/decision.ts'
import { pdpAnswer, pdpDenial, pdpResult, startFakePdp, type FakePdp, type PdpRequest } from '../../fakes/pdp.ts'
import { PDP_SHAPES } from '../../fixtures/pdp-shapes.ts'
import { policyInput, registrationInput, STREAMING } from '../../fixtures/policy-input.ts'

const idOf = ({ body }: PdpRequest): string => body.input.context.decision_id
const allow = (request: PdpRequest) => pdpAnswer(pdpResult(idOf(request)))
const input = () => policyInput(STREAMING, 'stream:text_events')

let pdp: FakePdp
beforeAll(async () => {
  pdp = await startFakePdp(allow)
})
afterAll(() => pdp.close())
beforeEach(() => {
  pdp.answer(allow)
})

async function withEngine<T>(timeoutMs: number, use: (engine: PolicyEngine) => Promise<T>): Promise<T> {
  const engine = createOpaHttp({ target: { kind: 'tcp', origin: pdp.origin }, timeoutMs })
  try {
    return await use(engine)
  } finally {
    await engine.close()
  }
}

const ask = (engine: PolicyEngine): Promise<Decision> => engine.decide('capability_access', input())

describe('the question', () => {
  test('is the input under its path, with the trace context of the caller', async () => {
    const question = registrationInput(STREAMING, 'worker-streaming', ['stream:sse_events'])
    const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true }
    await withEngine(5000, (engine) => engine.decide('worker_registration', question, trace))
    const seen = pdp.requests.at(-1)!
    expect(seen.path).toBe('/v1/data/crank/worker_registration/decision?provenance=true')
    expect(seen.body).toEqual({ input: question })
    expect(seen.headers).toMatchObject({
      'content-type': 'application/json',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    })
  })

  test('of no request, such as a self-check, tells OPA to record nothing of it', async () => {
    await withEngine(5000, ask)
    expect(pdp.requests.at(-1)!.headers['traceparent']).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/)
  })

  // Two, because undici rests a connection for one turn of the event loop after an answer.
  test('goes over connections that are kept', async () => {
    const first = pdp.requests.length
    await withEngine(5000, async (engine) => {
      for (let n = 0; n < 20; n++) await ask(engine)
    })
    expect(new Set(pdp.requests.slice(first).map(({ connection }) => connection)).size).toBeLessThanOrEqual(2)
  })
})

describe('the answer', () => {
  test.each(['allow', 'deny'])('%s is taken as it is', async (expected) => {
    pdp.answer((request) => (expected === 'allow' ? allow(request) : pdpAnswer(pdpDenial(idOf(request)))))
    const { decision } = await withEngine(5000, ask)
    expect(decision).toBe(expected)
  })

  test('may be chunked and may name a charset', async () => {
    pdp.answer((request) => {
      const text = JSON.stringify({ result: pdpResult(idOf(request)) })
      return { pieces: [text.slice(0, 9), text.slice(9)], everyMs: 1 }
    })
    expect((await withEngine(5000, ask)).decision).toBe('allow')
    pdp.answer((request) => ({
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify({ result: pdpResult(idOf(request)) }),
    }))
    expect((await withEngine(5000, ask)).decision).toBe('allow')
  })

  test('has at least 60 wrong shapes', () => {
    expect(Object.keys(PDP_SHAPES).length).toBeGreaterThanOrEqual(60)
  })

  test.concurrent.each(Object.entries(PDP_SHAPES))('%s is trouble, never a decision', async (_what, shape) => {
    const wrong = await startFakePdp((request) => shape(idOf(request)))
    const engine = createOpaHttp({ target: { kind: 'tcp', origin: wrong.origin }, timeoutMs: 300 })
    for (let n = 0; n < 2; n++) {
      await expect(ask(engine)).rejects.toMatchObject({
        name: 'AppError',
        code: expect.stringMatching(/^policy_engine_(unavailable|error)$/),
      })
    }
    await engine.close()
    await wrong.close()
  })

  test.each([
    ['silence is not an answer', 'silence', 'policy_engine_unavailable'],
    ['a reset is not an answer', 'a reset', 'policy_engine_unavailable'],
    ['an answer that comes late is not an answer', 'an answer after the deadline', 'policy_engine_unavailable'],
    ['dripping past the deadline is not an answer', 'one byte at a time', 'policy_engine_unavailable'],
    ['HTTP 500 is a wrong answer', 'status 500', 'policy_engine_error'],
    ['an undefined decision is a wrong answer', 'an undefined decision', 'policy_engine_error'],
    ['what is not HTTP is a wrong answer', 'not HTTP', 'policy_engine_error'],
    ['too large an answer is a wrong answer', 'over 64 KiB', 'policy_engine_error'],
  ])('%s', async (_what, shape, code) => {
    pdp.answer((request) => PDP_SHAPES[shape]!(idOf(request)))
    // A wrong answer is to be the answer: on a loaded machine it may take longer than the others are waited for.
    const timeoutMs = code === 'policy_engine_error' ? 10_000 : 200
    await expect(withEngine(timeoutMs, ask)).rejects.toMatchObject({ code })
  })
})

describe('after trouble', () => {
  test.each(['silence', 'another decision id', 'status 500', 'over 64 KiB'])(
    '%s: the connection is not used again',
    async (shape) => {
      // Silence is over at the deadline, which the good answer after it must then keep, too.
      await withEngine(shape === 'silence' ? 1000 : 10_000, async (engine) => {
        pdp.answer((request) => PDP_SHAPES[shape]!(idOf(request)))
        await expect(ask(engine)).rejects.toThrow()
        const spoiled = pdp.requests.at(-1)!.connection
        pdp.answer(allow)
        expect((await ask(engine)).decision).toBe('allow')
        expect(pdp.requests.at(-1)!.connection).not.toBe(spoiled)
      })
    },
  )

  test('answers that come back in the wrong order reach nobody', async () => {
    let previous = 'none'
    pdp.answer((request) => {
      const late = previous
      previous = idOf(request)
      return pdpAnswer(pdpResult(late))
    })
    await withEngine(5000, async (engine) => {
      const results = await Promise.allSettled(Array.from({ length: 50 }, () => ask(engine)))
      expect(results.map(({ status }) => status)).toEqual(results.map(() => 'rejected'))
    })
  })

  test('a server that is not there is no answer, at once', async () => {
    const gone = await startFakePdp(allow)
    await gone.close()
    const engine = createOpaHttp({ target: { kind: 'tcp', origin: gone.origin }, timeoutMs: 20_000 })
    await expect(ask(engine)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    await engine.close()
  })

  test('a stalled event loop does not let a late answer through', async () => {
    let clock = 0
    const engine = createOpaHttp({
      target: { kind: 'tcp', origin: pdp.origin },
      timeoutMs: 5000,
      now: () => (clock += 6000),
    })
    await expect(ask(engine)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    await engine.close()
  })

  test('more than a thousand waiting questions are refused, and those that wait get their answer', async () => {
    await withEngine(20_000, async (engine) => {
      const results = await Promise.allSettled(Array.from({ length: 1500 }, () => ask(engine)))
      const refused = results.filter(({ status }) => status === 'rejected')
      expect([results.length - refused.length, refused.length]).toEqual([1024, 476])
    })
  })

  test('three hundred questions to a server that hangs all end at the deadline, queued ones too', async () => {
    await withEngine(200, async (engine) => {
      pdp.answer(() => 'hang')
      const results = await Promise.allSettled(Array.from({ length: 300 }, () => ask(engine)))
      expect(results).toEqual(
        results.map(() => ({
          status: 'rejected',
          reason: expect.objectContaining({ code: 'policy_engine_unavailable' }),
        })),
      )
      pdp.answer(allow)
      await vi.waitFor(async () => expect((await ask(engine)).decision).toBe('allow'), { timeout: 10_000 })
    })
  })

  test('a kept connection that turns out to be dead costs no decision: the question is asked once more', async () => {
    await withEngine(20_000, async (engine) => {
      await ask(engine)
      const before = pdp.requests.length
      pdp.answer((request) => (pdp.requests.length === before + 1 ? 'reset' : allow(request)))
      expect((await ask(engine)).decision).toBe('allow')
      const [first, second, ...more] = pdp.requests.slice(before)
      expect([second?.body, more]).toEqual([first?.body, []])
      expect(second?.connection).not.toBe(first?.connection)
    })
  })

  test('and no more than once more', async () => {
    await withEngine(20_000, async (engine) => {
      await ask(engine)
      const before = pdp.requests.length
      pdp.answer(() => 'reset')
      await expect(ask(engine)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
      expect(pdp.requests.length - before).toBe(2)
    })
  })

  test('a closed engine refuses', async () => {
    const engine = createOpaHttp({ target: { kind: 'tcp', origin: pdp.origin }, timeoutMs: 1000 })
    await engine.close()
    await expect(ask(engine)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
  })
})
