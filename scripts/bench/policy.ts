// Decisions of one engine alone, each timed separately. A process of the bench.
import { createOpaHttp } from '../../src/policy/engine/opa-http.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles } from '../../src/policy/data/policy-files.ts'
import type { PolicyEngine, PolicyInput } from '../../src/core/decision.ts'
import { uuidv7 } from '../../src/core/ids.ts'
import { parseSpiffeId, trustDomainOf } from '../../src/core/spiffe-id.ts'
import { answerJobs, reportReady } from './child.ts'
import { cpuPerRequest, cpuTimes } from './cpu.ts'
import type { PolicyJob, PolicyResult } from './jobs.ts'
import { latencyOf } from './statistics.ts'

const TIMEOUT_MS = 5000
const CALLER = parseSpiffeId('spiffe://crank.local/worker/streaming')
const engines = new Map<string, Promise<PolicyEngine>>()

reportReady()
answerJobs(run)

async function run({ decisions, concurrency, pids, ...which }: PolicyJob): Promise<PolicyResult> {
  const engine = await engineOf(which)
  const latencies = new Float64Array(decisions)
  let asked = 0
  const askOn = async (): Promise<void> => {
    while (asked < decisions) {
      const at = asked++
      const input = inputAt(Date.now())
      const startedMs = performance.now()
      const { decision } = await engine.decide('capability_access', input, null)
      latencies[at] = performance.now() - startedMs
      if (decision !== 'allow') throw new Error('the policy denied the call of the bench')
    }
  }
  const all = { policy: process.pid, ...pids }
  const cpu = cpuTimes(all)
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: concurrency }, askOn))
  const seconds = (performance.now() - startedMs) / 1000
  return { decisions, seconds, cpuUs: cpuPerRequest(all, cpu, decisions), latencyMs: latencyOf(latencies) }
}

function engineOf({ policyDir, opaUrl }: Pick<PolicyJob, 'policyDir' | 'opaUrl'>): Promise<PolicyEngine> {
  const key = opaUrl ?? policyDir
  const known = engines.get(key)
  if (known !== undefined) return known
  const made = createEngine(policyDir, opaUrl)
  engines.set(key, made)
  return made
}

async function createEngine(policyDir: string, opaUrl: string | undefined): Promise<PolicyEngine> {
  if (opaUrl !== undefined) return createOpaHttp({ target: { kind: 'tcp', origin: opaUrl }, timeoutMs: TIMEOUT_MS })
  return createOpaWasm({ files: await loadPolicyFiles(policyDir, Date.now()), timeoutMs: TIMEOUT_MS })
}

function inputAt(nowMs: number): PolicyInput {
  return {
    identity: { spiffe_id: CALLER, trust_domain: trustDomainOf(CALLER) },
    action: { verb: 'invoke', capability: 'hello_world' },
    context: {
      timestamp: new Date(nowMs).toISOString(),
      now_ns: `${nowMs}000000`,
      source: 'controller',
      decision_id: uuidv7(nowMs),
      priority: 'normal',
      origin: CALLER,
      depth: 0,
    },
  }
}
