// A policy engine that is away, stopped, slow, wrong, empty, out of step, or that thinks for too long (F1 to F8).
import {
  pdpAnswer,
  pdpResult,
  startFakePdp,
  type PdpAnswer,
  type PdpRequest,
  type PdpRespond,
} from '../../fakes/pdp.ts'
import { startOpa } from '../../../scripts/lab/opa-server.ts'
import { honestPdp } from '../../fixtures/pdp-honest.ts'
import { PDP_SHAPES } from '../../fixtures/pdp-shapes.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { until } from '../../fixtures/until.ts'
import type { Lab } from '../lab.ts'
import { finding, percentile, tally, type Scenario } from '../scenario.ts'
import { thoughtfulPolicies } from '../thoughtful-policies.ts'

const DEADLINE_MS = 100

type Timed = { readonly status: number | null; readonly tookMs: number }

async function timedCalls(lab: Lab, count: number): Promise<Timed[]> {
  const seen: Timed[] = []
  for (let n = 0; n < count; n++) {
    const startMs = performance.now()
    const { status } = await lab.call()
    seen.push({ status, tookMs: performance.now() - startMs })
  }
  return seen
}
const allows = (seen: readonly Timed[]): number => seen.filter(({ status }) => status === 200).length
const p99 = (seen: readonly Timed[]): number =>
  Math.round(
    percentile(
      seen.map(({ tookMs }) => tookMs),
      0.99,
    ),
  )
/** What is judged: of a few dozen calls the 99th percentile is the slowest, which a busy machine makes slow. */
const p90 = (seen: readonly Timed[]): number =>
  percentile(
    seen.map(({ tookMs }) => tookMs),
    0.9,
  )
const statuses = (seen: readonly Timed[]): string => tally(seen.map(({ status }) => status))

/** Serves calls beside a real OPA; its deadline is that of production only when `tight`. */
async function besideOpa(lab: Lab) {
  const opa = await startOpa({ policyDir: POLICY_DIR })
  lab.defer(() => opa.kill())
  await lab.start({ env: { OPA_URL: opa.url, OPA_TIMEOUT_MS: String(DEADLINE_MS) } })
  await lab.worker()
  await until('calls are served', async () => (await lab.call()).status === 200)
  // How long a call takes here that OPA answers.
  const plainMs = p99(await timedCalls(lab, 30))
  return { opa, plainMs }
}

async function recoveredMs(lab: Lab, sinceMs: number): Promise<number> {
  await until('calls are served again', async () => (await lab.call()).status === 200)
  return Math.round(performance.now() - sinceMs)
}

const down: Scenario = {
  id: 'F1',
  fault: 'OPA is killed',
  expected: '503, audited; at once when the breaker is open (p99 20 ms); served within 1 s after it is back',
  short: true,
  async run(lab) {
    const { opa, plainMs } = await besideOpa(lab)
    await opa.kill()
    const first = await timedCalls(lab, 30)
    await until('readiness is red', async () => !(await lab.ready()))
    const open = await timedCalls(lab, 100)
    const again = await startOpa({ policyDir: POLICY_DIR, port: opa.port })
    lab.defer(() => again.kill())
    const backMs = await recoveredMs(lab, performance.now())
    return finding(
      statuses([...first, ...open]),
      `refused in ${p99(open)} ms p99 (a served call here: ${plainMs} ms); served again after ${backMs} ms`,
      {
        'no call is allowed': allows([...first, ...open]) === 0,
        'every call is 503': [...first, ...open].every(({ status }) => status === 503),
      },
      {
        'a refusal takes no longer than 20 ms': p90(open) <= 20 + plainMs,
        'calls are served within a second': backMs <= 1000 + plainMs,
      },
    )
  },
}

const stopped: Scenario = {
  id: 'F2',
  fault: 'OPA is stopped (SIGSTOP)',
  expected: `503 after ${DEADLINE_MS} ms, at most 120 ms p99; served again after SIGCONT`,
  async run(lab) {
    const { opa, plainMs } = await besideOpa(lab)
    await opa.pause()
    const seen = await timedCalls(lab, 60)
    opa.resume()
    const backMs = await recoveredMs(lab, performance.now())
    return finding(
      statuses(seen),
      `refused in ${p99(seen)} ms p99 (a served call here: ${plainMs} ms); served again after ${backMs} ms`,
      {
        'no call is allowed': allows(seen) === 0,
        'the first one waits for the deadline': (seen[0]?.tookMs ?? 0) >= DEADLINE_MS - 2,
      },
      {
        'a refusal takes no longer than 120 ms': p90(seen) <= 120 + plainMs,
        'calls are served within a second': backMs <= 1000 + plainMs,
      },
    )
  },
}

/** Lies to calls and not to the self-check, so that a lie reaches the decision it is told to. */
const toCalls =
  (answer: (asked: PdpRequest) => PdpAnswer): PdpRespond =>
  (asked) =>
    honestPdp.isProbe(asked) ? honestPdp(asked) : answer(asked)
const idOf = ({ body }: PdpRequest): string => body.input.context.decision_id

async function besideLiar(lab: Lab, timeoutMs: number) {
  const pdp = await startFakePdp(honestPdp)
  lab.defer(() => pdp.close())
  await lab.start({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: String(timeoutMs) } })
  await lab.worker()
  const honest = async (): Promise<void> => {
    pdp.answer(honestPdp)
    await until('calls are served', async () => (await lab.call()).status === 200)
  }
  await honest()
  return { pdp, honest }
}

const slow: Scenario = {
  id: 'F3',
  fault: 'OPA answers after 60 ms, after 140 ms, and byte by byte',
  expected: 'allow, deny, deny: the deadline of 100 ms is one for the whole answer; no answer after 130 ms',
  async run(lab) {
    const { pdp, honest } = await besideLiar(lab, DEADLINE_MS)
    const plainMs = p99(await timedCalls(lab, 30))
    const after = async (afterMs: number): Promise<Timed[]> => {
      pdp.answer(toCalls((asked) => ({ body: JSON.stringify({ result: pdpResult(idOf(asked)) }), afterMs })))
      const seen = await timedCalls(lab, 10)
      await honest()
      return seen
    }
    const inTime = await after(60)
    const late = await after(140)
    const pieces = (id: string): string[] => JSON.stringify({ result: pdpResult(id) }).split('')
    pdp.answer(toCalls((asked) => ({ pieces: pieces(idOf(asked)), everyMs: 50 })))
    const dripped = await timedCalls(lab, 10)
    await honest()
    return finding(
      `60 ms ${statuses(inTime)}; 140 ms ${statuses(late)}; drip ${statuses(dripped)}`,
      `refused in ${p99([...late, ...dripped])} ms p99 (a served call here: ${plainMs} ms)`,
      {
        'an answer in time counts': allows(inTime) >= 9,
        'a late one does not': allows(late) === 0,
        'nor one that drips': allows(dripped) === 0,
      },
      { 'no refusal after 130 ms': p90([...late, ...dripped]) <= 130 + plainMs },
    )
  },
}

/** Piece by piece, so that making it does not hold up this process. */
const HUGE: PdpAnswer = { pieces: new Array<string>(100).fill('x'.repeat(1_000_000)), everyMs: 1 }
const IS_A_VALUE = /^(?:result|allow|an undefined|the |another name|no |mode|grounds|exception|decision id)/

async function lies(lab: Lab, isChosen: (name: string) => boolean, more: Readonly<Record<string, PdpAnswer>> = {}) {
  const { pdp, honest } = await besideLiar(lab, 250)
  const before = lab.executions.length
  const own = Object.entries(more).map(([name, answer]) => [name, () => answer] as const)
  const told = [...Object.entries(PDP_SHAPES).filter(([name]) => isChosen(name)), ...own]
  const seen: { name: string; status: number | null }[] = []
  let honestCalls = 0
  for (const [name, shape] of told) {
    pdp.answer(toCalls((asked) => shape(idOf(asked))))
    seen.push({ name, status: (await lab.call()).status })
    const calls = lab.told.length
    await honest()
    honestCalls += lab.told.slice(calls).filter(({ status }) => status === 200).length
  }
  const allowed = seen.filter(({ status }) => status === 200).map(({ name }) => name)
  return finding(tally(seen.map(({ status }) => status)), `${allowed.length} allows in ${seen.length} shapes`, {
    [`no shape is an allow${allowed.length === 0 ? '' : `: ${allowed.join(', ')}`}`]: allowed.length === 0,
    'every one is 503': seen.every(({ status }) => status === 503),
    'no worker executes one': lab.executions.length === before + honestCalls,
  })
}

const wrong: Scenario = {
  id: 'F4',
  fault: 'OPA answers 500, 302, HTML, cut JSON, 100 MB, wrong lengths …',
  expected: '503 each: 0 allows',
  run: (lab) => lies(lab, (name) => !IS_A_VALUE.test(name), { '100 MB': HUGE }),
}

const values: Scenario = {
  id: 'F5',
  fault: 'OPA answers {}, null, "true", 1, [true] and other values',
  expected: '503 each: 0 allows',
  run: (lab) => lies(lab, (name) => IS_A_VALUE.test(name)),
}

const empty: Scenario = {
  id: 'F6',
  fault: 'OPA comes back without a policy',
  expected: 'not ready, 503; no allow before it has its policy',
  async run(lab) {
    const { opa } = await besideOpa(lab)
    await opa.kill()
    const bare = await startOpa({ policyDir: undefined, port: opa.port })
    const seen = await timedCalls(lab, 30)
    await until('readiness is red', async () => !(await lab.ready()))
    seen.push(...(await timedCalls(lab, 10)))
    await bare.kill()
    const whole = await startOpa({ policyDir: POLICY_DIR, port: opa.port })
    lab.defer(() => whole.kill())
    const backMs = await recoveredMs(lab, performance.now())
    return finding(statuses(seen), `0 of ${seen.length} allowed; served ${backMs} ms after it has its policy`, {
      'no call is allowed': allows(seen) === 0,
      'every call is 503': seen.every(({ status }) => status === 503),
    })
  },
}

const desync: Scenario = {
  id: 'F7',
  fault: 'OPA gives the answer of the previous question',
  expected: '503 each: the decision id is not that of the question; 0 answers to another question',
  async run(lab) {
    const { pdp, honest } = await besideLiar(lab, 1000)
    const before = lab.executions.length
    let previous = '01890a5d-ac96-774b-bcce-b302099a8057'
    pdp.answer(
      toCalls((asked) => {
        const answer = pdpAnswer(pdpResult(previous))
        previous = idOf(asked)
        return answer
      }),
    )
    const seen: (number | null)[] = []
    for (let batch = 0; batch < 50; batch++) {
      seen.push(...(await Promise.all(Array.from({ length: 8 }, async () => (await lab.call()).status))))
    }
    const executed = lab.executions.length - before
    await honest()
    return finding(tally(seen), `${executed} answers to another question in ${seen.length}`, {
      'no call is allowed': !seen.includes(200),
      'no worker executes one': executed === 0,
    })
  },
}

const thoughtful: Scenario = {
  id: 'F8',
  fault: 'the embedded policy thinks for longer than its deadline',
  expected:
    'no allow after the deadline; other calls are served again (wasm runs on the main thread and cannot be interrupted)',
  async run(lab) {
    await using policies = await copyPolicies()
    await thoughtfulPolicies(policies.dir)
    await lab.start({ policyDir: policies.dir, env: { OPA_TIMEOUT_MS: '50' } })
    await lab.worker()
    await lab.call()
    const startMs = performance.now()
    const slowCall = await lab.call({ priority: 'high' })
    const stallMs = Math.round(performance.now() - startMs)
    const backMs = await recoveredMs(lab, performance.now())
    return finding(
      `the long thought ${slowCall.error ?? slowCall.status ?? 'broken'}`,
      `it held up the controller for about ${stallMs} ms; served again after ${backMs} ms`,
      {
        'the thought is longer than its deadline': stallMs > 50,
        'the late answer is no allow': slowCall.status === 503,
      },
      { 'calls are served again': backMs < 5000 },
    )
  },
}

export const POLICY_SCENARIOS: readonly Scenario[] = [down, stopped, slow, wrong, values, empty, desync, thoughtful]
