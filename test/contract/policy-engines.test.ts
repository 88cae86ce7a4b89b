// One suite for every policy engine: whatever answers, answers the same.
import { rm, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOpaHttp } from '../../src/policy/engine/opa-http.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../src/policy/data/policy-files.ts'
import type { Decide, Decision, PolicyEngine, PolicyInput } from '../../src/core/decision.ts'
import type { AppError } from '../../src/core/errors.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { createRandom, generateAsk, generateData, type Ask, type DataSet } from '../fixtures/policy-corpus.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { policyInput, registrationInput, STREAMING } from '../fixtures/policy-input.ts'
import { oracleAllows } from '../fixtures/policy-oracle.ts'

// Not a timing test: a loaded machine must not turn an answer into a timeout.
const timeoutMs = 20_000
const LEGACY = 'spiffe://crank.local/worker/legacy-service'
const PARTNER = 'spiffe://crank.local/worker/partner'
const EXPIRY_NS = 1795514400000000001n
const SINCE = '"reason": "r", "owner": "o", "created_at": "2026-11-01T00:00:00Z"'
const EXCEPTIONS = `{
  "${LEGACY}": { "temporary_allow_all": true, "expires_after": 1767139200000000000, ${SINCE} },
  "${PARTNER}": { "capabilities": ["convert:document_to_pdf"], "expires_after": ${EXPIRY_NS}, ${SINCE} }
}`

let policies: PolicyDir
let files: PolicyFiles
beforeAll(async () => {
  policies = await copyPolicies({ 'data/exceptions.json': EXCEPTIONS })
  files = await loadPolicyFiles(policies.dir, Date.now())
})
afterAll(() => policies[Symbol.asyncDispose]())

type Running = { readonly engine: PolicyEngine; stop(): Promise<void> }

function overHttp(opa: OpaServer): Running {
  const engine = createOpaHttp({ target: opa.target, timeoutMs })
  return { engine, stop: () => engine.close().then(() => opa.stop()) }
}

/** The same engine, which asks about each call in a batch. */
function inBatches(running: Running): Running {
  const { engine } = running
  const decide: Decide = async (question, input, trace) => {
    if (question !== 'capability_access') return engine.decide(question, input, trace)
    const [decision] = await engine.decideTogether!([input])
    return decision!
  }
  return { ...running, engine: { ...engine, decide } }
}

const ENGINES: Record<string, () => Promise<Running>> = {
  'opa over tcp': async () => overHttp(await startOpa({ policyDir: policies.dir })),
  'opa over a unix socket': async () => {
    const dir = await mkdtemp(join(tmpdir(), 'crank-opa-'))
    const running = overHttp(await startOpa({ policyDir: policies.dir, unix: join(dir, 'opa.sock') }))
    return { ...running, stop: () => running.stop().then(() => rm(dir, { recursive: true })) }
  },
  'opa in batches': async () => inBatches(overHttp(await startOpa({ policyDir: policies.dir }))),
  'opa as wasm': async () => {
    const engine = await createOpaWasm({ files, timeoutMs })
    return { engine, stop: () => engine.close() }
  },
}

describe.each(Object.keys(ENGINES))('%s', (name) => {
  let running: Running
  beforeAll(async () => {
    running = await ENGINES[name]!()
  })
  afterAll(() => running.stop())
  const ask = (input: PolicyInput): Promise<Decision> => running.engine.decide('capability_access', input, null)

  test('allows what the manifest declares', async () => {
    expect(await ask(policyInput(STREAMING, 'stream:text_events'))).toEqual({
      decision: 'allow',
      mode: 'enforce',
      grounds: ['declared'],
      reasons: [],
      exception: null,
      policyVersion: '1.0.0',
      validUntilNs: 9223372036854775807n,
    })
  })

  test('denies what the manifest does not declare, and says so', async () => {
    const decision = await ask(policyInput(STREAMING, 'convert:document_to_pdf'))
    expect(decision.decision).toBe('deny')
    expect(decision.reasons).toEqual([
      {
        code: 'capability_not_declared',
        message: `Worker ${STREAMING} not authorized for capability convert:document_to_pdf`,
      },
    ])
  })

  test.each([
    ['a worker without a manifest', 'spiffe://crank.local/worker/nobody'],
    ['a name that only begins like a known one', `${STREAMING}/x`],
    ['a known path in another trust domain', 'spiffe://other.test/worker/streaming'],
  ])('denies %s', async (_what, who) => {
    const { decision, reasons } = await ask(policyInput(who, 'stream:text_events'))
    expect([decision, reasons.map(({ code }) => code)]).toEqual(['deny', ['worker_unknown']])
  })

  test.each<[string, (input: PolicyInput) => object]>([
    [
      'a trust domain that is not the identity’s',
      (input) => ({ ...input, identity: { ...input.identity, trust_domain: 'x' } }),
    ],
    ['no identity', ({ action, context }) => ({ action, context })],
    ['no action', ({ identity, context }) => ({ identity, context })],
    ['a verb that is a number', (input) => ({ ...input, action: { ...input.action, verb: 7 } })],
    ['a clock that is a number', (input) => ({ ...input, context: { ...input.context, now_ns: 1795514400000 } })],
  ])('denies an input with %s as malformed', async (_what, spoil) => {
    const { decision, reasons } = await ask(spoil(policyInput(STREAMING, 'stream:text_events')) as PolicyInput)
    expect(decision).toBe('deny')
    expect(new Set(reasons.map(({ code }) => code))).toEqual(new Set(['input_malformed']))
  })

  test.each([
    ['one nanosecond before the expiry', EXPIRY_NS - 1n, 'allow', ['exception'], []],
    ['at the expiry', EXPIRY_NS, 'deny', [], ['worker_unknown', 'exception_expired']],
    ['one nanosecond after it', EXPIRY_NS + 1n, 'deny', [], ['worker_unknown', 'exception_expired']],
  ])('an exception %s: %#', async (_when, nowNs, decision, grounds, codes) => {
    const answer = await ask(policyInput(PARTNER, 'convert:document_to_pdf', nowNs))
    expect([answer.decision, answer.grounds]).toEqual([decision, grounds])
    expect(answer.reasons.map(({ code }) => code).sort()).toEqual([...codes].sort())
    expect(answer.exception).toBe(`${PARTNER}#convert:document_to_pdf`)
    // It holds to the nanosecond; once it has ended, nothing is said.
    expect(answer.validUntilNs).toBe(decision === 'allow' ? EXPIRY_NS : undefined)
  })

  test('an exception covers no other capability and no other identity', async () => {
    const other = await ask(policyInput(PARTNER, 'stream:text_events', EXPIRY_NS - 1n))
    const longer = await ask(policyInput(`${PARTNER}-2`, 'convert:document_to_pdf', EXPIRY_NS - 1n))
    expect([other.decision, longer.decision]).toEqual(['deny', 'deny'])
  })

  test('the exception of the plan, for everything, is over', async () => {
    const { decision, reasons } = await ask(policyInput(LEGACY, 'convert:document_to_pdf'))
    expect(decision).toBe('deny')
    expect(reasons.map(({ code }) => code)).toContain('exception_expired')
  })

  test.each([
    ['its own id and what it may offer', 'worker-streaming', ['stream:sse_events', 'stream:text_events'], 'allow', []],
    ['a replica’s id', 'worker-streaming.2', ['stream:sse_events'], 'allow', []],
    ['another’s id', 'worker-hello-world', ['stream:sse_events'], 'deny', ['worker_id_mismatch']],
    [
      'what it may call, but not offer',
      'worker-streaming',
      ['invoke:hello_world'],
      'deny',
      ['capability_not_provided'],
    ],
  ])('a registration under %s', async (_what, workerId, capabilities, decision, codes) => {
    const input = registrationInput(STREAMING, workerId, capabilities)
    const answer = await running.engine.decide('worker_registration', input)
    expect([answer.decision, answer.reasons.map(({ code }) => code)]).toEqual([decision, codes])
  })

  test('gives each of many questions at once its own answer', async () => {
    const capabilities = ['stream:text_events', 'convert:document_to_pdf', 'invoke:hello_world', 'store:zettel']
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, n) => ask(policyInput(STREAMING, capabilities[n % 4]!))),
    )
    const expected = ['allow', 'deny', 'allow', 'deny']
    expect(answers.map(({ decision }) => decision)).toEqual(answers.map((_, n) => expected[n % 4]))
  })

  test('an answer without our decision_id is trouble', async () => {
    const input = policyInput(STREAMING, 'stream:text_events')
    const unnamed = { ...input, context: { ...input.context, decision_id: 7 } } as unknown as PolicyInput
    await expect(ask(unnamed)).rejects.toMatchObject({ code: 'policy_engine_error' })
  })
})

describe('sidecar and wasm on generated data', () => {
  let opa: OpaServer
  let sidecar: ReturnType<typeof createOpaHttp>
  beforeAll(async () => {
    opa = await startOpa({ policyDir: policies.dir, open: true })
    sidecar = createOpaHttp({ target: opa.target, timeoutMs })
  })
  afterAll(() => sidecar.close().then(() => opa.stop()))

  test.each([1, 2, 3])(
    '4,000 answers are the same, and allow exactly what an independent oracle allows: seed %i',
    async (seed) => {
      const random = createRandom(seed)
      let allowed = 0
      for (let dataSet = 0; dataSet < 40; dataSet++) {
        const data = generateData(random)
        const asks = Array.from({ length: 100 }, () => generateAsk(random))
        const opaWithData = await sidecarWith(data)
        const [fromSidecar, fromBatches, fromWasm] = await Promise.all([
          answersOf(opaWithData, asks, undefined),
          answersOf(opaWithData, asks, null),
          answersOf(await wasmWith(data), asks),
        ])
        expect(fromBatches).toEqual(fromSidecar)
        expect(fromWasm).toEqual(fromSidecar)
        const verdicts = fromWasm.map(({ answer }) => 'decision' in answer && answer.decision === 'allow')
        expect(verdicts).toEqual(asks.map((one) => oracleAllows(data, one)))
        allowed += verdicts.filter(Boolean).length
      }
      expect(allowed).toBeGreaterThan(200)
      expect(sidecar.traffic().batched).toBeGreaterThan(1000)
    },
  )

  async function sidecarWith(data: DataSet): Promise<PolicyEngine> {
    for (const [name, value] of Object.entries(data)) {
      const body = JSON.stringify(value) as string | undefined
      const headers = { 'content-type': 'application/json' }
      const url = `${opa.url}/v1/data/${name}`
      const reply = await (body === undefined
        ? request(url, { method: 'DELETE' })
        : request(url, { method: 'PUT', body, headers }))
      await reply.body.dump()
      expect([204, 404]).toContain(reply.statusCode)
    }
    return sidecar
  }

  function wasmWith(data: DataSet): Promise<PolicyEngine> {
    return createOpaWasm({ files: { ...files, dataText: JSON.stringify(data) }, timeoutMs })
  }
})

/** `trace` null: as calls, which may go in batches. Decisions and errors alike, beside their question so that a difference explains itself. */
function answersOf(
  engine: PolicyEngine,
  asks: readonly Ask[],
  trace?: null,
): Promise<(Ask & { answer: Partial<Decision> | { code: string } })[]> {
  return Promise.all(
    asks.map(async (one) => {
      const answer = await engine
        .decide(one.question, one.input, trace)
        .catch((error: unknown) => ({ code: (error as AppError).code }))
      return { ...one, answer }
    }),
  )
}
