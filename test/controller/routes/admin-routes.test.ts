// The policy's routes of the admin listener: questions as the policy gets them, exceptions as they are shown.
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { ExceptionUse } from '../../../src/controller/exceptions/exception-watch.ts'
import { policyAsk } from '../../../src/controller/routes/policy-ask.ts'
import { policyExceptions } from '../../../src/controller/routes/policy-exceptions.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import { AppError } from '../../../src/core/errors.ts'
import type { AskAnswer } from '../../../src/core/policy-ask.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { AskPolicy, PolicyQuestion } from '../../../src/policy/ask.ts'

let app: FastifyInstance
afterEach(() => app.close())

const WHO = 'spiffe://crank.local/worker/streaming'
const QUESTION = { spiffe_id: WHO, verb: 'invoke', capability: 'hello_world' }

describe('POST /policy/ask', () => {
  function answerTo({ spiffeId, capability }: PolicyQuestion): AskAnswer {
    return {
      spiffe_id: spiffeId,
      capability,
      at: '2026-11-24T10:00:00Z',
      decision: 'allow',
      mode: 'enforce',
      ruling: 'allow',
      reasons: [],
      grounds: ['declared'],
      exception: null,
      policy_revision: 'r1',
      policy_version: '7',
      engine: 'opa-wasm',
      error: null,
    }
  }

  async function setUp(ask: AskPolicy = (questions) => Promise.resolve(questions.map(answerTo))) {
    const asked: PolicyQuestion[] = []
    const lines: object[] = []
    app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false } } })
    await app.register(policyAsk, {
      ask(questions) {
        asked.push(...questions)
        return ask(questions)
      },
      policy: { files: () => ({ dir: '/policies', dataText: '{"n":1111111111111111111}' }), revision: () => 'r1' },
      log: { debug: (fields) => void lines.push(fields) },
    })
    const post = (payload: object) => app.inject({ method: 'POST', url: '/policy/ask', payload })
    return { asked, lines, post }
  }

  test('answers one question with one answer, and notes it', async () => {
    const { asked, lines, post } = await setUp()
    const answer = await post(QUESTION)
    expect(asked).toEqual([{ spiffeId: WHO, capability: 'invoke:hello_world', atNs: undefined }])
    expect(answer.json()).toEqual(answerTo(asked[0]!))
    expect(lines).toMatchObject([{ event: 'policy_asked', capability: 'invoke:hello_world' }])
  })

  test('answers many with as many, in their order, also if it is one', async () => {
    const { post } = await setUp()
    const many = await post({ questions: [QUESTION, { ...QUESTION, verb: 'stream' }] })
    expect(many.json()).toMatchObject({
      answers: [{ capability: 'invoke:hello_world' }, { capability: 'stream:hello_world' }],
    })
    expect((await post({ questions: [QUESTION] })).json()).toMatchObject({ answers: [{}] })
  })

  test('asks for the instant that is named, to the nanosecond', async () => {
    const { asked, post } = await setUp()
    await post({ ...QUESTION, at: '2026-11-24T10:00:00.000000001Z' })
    expect(asked[0]!.atNs).toBe(1_795_514_400_000_000_001n)
  })

  const refused: readonly [what: string, body: object, reason: string | RegExp][] = [
    ['an identity that is none', { ...QUESTION, spiffe_id: 'x' }, /^spiffe_id: /],
    ['a capability that is none', { ...QUESTION, verb: 'A' }, /^capability: /],
    ['a time that is none', { ...QUESTION, at: 'now' }, /^at must be a time in UTC/],
    [
      'one bad question of many, by its place',
      { questions: [QUESTION, { ...QUESTION, verb: 'A' }] },
      /^questions\[1\]\./,
    ],
    ['an unknown member', { ...QUESTION, x: 1 }, /"x"/],
    ['no questions', { questions: [] }, /questions/],
  ]
  for (const [what, body, reason] of refused) {
    test(`refuses ${what}`, async () => {
      const { asked, post } = await setUp()
      const answer = await post(body)
      expect(answer.statusCode).toBe(400)
      expect(answer.json()).toEqual({ error: 'request_invalid', reason: expect.stringMatching(reason) })
      expect(asked).toEqual([])
    })
  }

  test('says when to try again where the policy is not there yet', async () => {
    const { post } = await setUp(() => Promise.reject(new AppError('policy_not_ready')))
    const answer = await post(QUESTION)
    expect(answer.statusCode).toBe(503)
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'content-type': /^application\/problem\+json/ })
  })

  test('GET /policy/data gives the data in force, its 19-digit times unrounded', async () => {
    await setUp()
    const answer = await app.inject('/policy/data')
    expect(answer.body).toBe('{"policy_revision":"r1","policy_dir":"/policies","data":{"n":1111111111111111111}}')
  })
})

describe('GET /policy/exceptions', () => {
  const NOW = Date.parse('2026-11-24T10:00:00.000Z')
  const use = (over: Partial<ExceptionUse> & { all?: boolean } = {}): ExceptionUse => ({
    entry: {
      name: `${WHO}#invoke:hello_world`,
      id: 'aaaaaaaa',
      spiffeId: parseSpiffeId(WHO),
      all: over.all ?? false,
      capabilities: over.all === true ? [] : [parseCapability('invoke:hello_world')],
      expiresAfterNs: 0n,
      createdAt: '2026-11-01T00:00:00Z',
      owner: 'team-a',
      reason: 'migration',
    },
    expiresMs: NOW + 1500,
    uses: 2,
    lastUsedMs: NOW - 1000,
    ...over,
  })

  async function exceptionsOf(list: readonly ExceptionUse[]) {
    app = Fastify()
    await app.register(policyExceptions, {
      exceptions: { list: () => list, sinceMs: NOW - 60_000 },
      dataFaults: () => [{ file: 'exceptions.json', path: '/a', reason: 'is wrong' }],
      now: () => NOW,
    })
    return (await app.inject('/policy/exceptions')).json<{ exceptions: object[] }>()
  }

  test('shows who is excepted from what, for how long, and how often that was used', async () => {
    expect(await exceptionsOf([use()])).toEqual({
      counted_since: '2026-11-24T09:59:00.000Z',
      exceptions: [
        {
          id: 'aaaaaaaa',
          name: `${WHO}#invoke:hello_world`,
          spiffe_id: WHO,
          capability: 'invoke:hello_world',
          state: 'live',
          owner: 'team-a',
          reason: 'migration',
          created_at: '2026-11-01T00:00:00Z',
          expires_at: '2026-11-24T10:00:01.500Z',
          expires_in_seconds: 1.5,
          uses: 2,
          last_used_at: '2026-11-24T09:59:59.000Z',
        },
      ],
      faults: [{ file: 'exceptions.json', path: '/a', reason: 'is wrong' }],
    })
  })

  test('reports what has expired, what was never used, and what holds for everything', async () => {
    const { exceptions } = await exceptionsOf([
      use({ expiresMs: NOW }),
      use({ lastUsedMs: undefined }),
      use({ all: true }),
    ])
    expect(exceptions).toMatchObject([
      { state: 'expired', expires_in_seconds: 0 },
      { state: 'live', last_used_at: null },
      { capability: null },
    ])
  })
})
