// Records the audit sample that CI replays: node scripts/record-audit-sample.ts [--policy DIR] [--out FILE]
// Contains every call and registration that the manifests declare, and some that they do not, decided by the current
// policy.
// It uses only names from the manifests; no traffic, no secrets. The same policy gives the same bytes.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { AuditEvent, Judgement } from '../src/audit/event.ts'
import { createOfflineEngine, type OfflineEngine } from '../src/policy/engine/evaluate-files.ts'
import { createOwnKnowledge, rulingOf } from '../src/policy/ruling.ts'
import type { PolicyInput, Question } from '../src/core/decision.ts'
import {
  callInput,
  callRecord,
  chainLines,
  registrationInput,
  registrationRecord,
  type Asking,
} from './tools/audit-records.ts'

type Manifest = {
  readonly worker_id: string
  readonly required_capabilities: readonly string[]
  readonly provided_capabilities?: readonly string[]
}

const POLICIES = join(import.meta.dirname, '../policies')
const START_MS = Date.UTC(2026, 10, 23, 10)
const STEP_MS = 1000
/** A time when the exception of the old service was live. */
const EARLIER_MS = Date.UTC(2025, 11, 1)
const TRUST_DOMAIN = 'crank.local'

/** The sample's lines for the policy in `dir`. */
export async function recordSample(dir: string): Promise<string> {
  const engine = await createOfflineEngine(dir, { env: process.env, now: () => START_MS })
  const { workers } = JSON.parse(engine.files.dataText) as { workers: Readonly<Record<string, Manifest>> }
  const known = [...engine.files.knownCapabilities].sort()
  const events: AuditEvent[] = []
  let count = 0
  const next = (who: string, startMs = START_MS): Asking => {
    const atMs = startMs + ++count * STEP_MS
    return { who, atNs: BigInt(atMs) * 1_000_000n, decisionId: decisionId(atMs, count) }
  }
  const call = async (who: string, capability: string, startMs?: number): Promise<void> => {
    const input = callInput(next(who, startMs), capability)
    events.push(callRecord(input, await verdictOf(engine, 'capability_access', input), about(engine)))
  }
  const register = async (who: string, workerId: string, capabilities: readonly string[]): Promise<void> => {
    const input = registrationInput(next(who), workerId, capabilities)
    events.push(registrationRecord(input, await verdictOf(engine, 'worker_registration', input), about(engine)))
  }

  const legacy = `spiffe://${TRUST_DOMAIN}/worker/legacy-service`
  await call(legacy, known[0] ?? 'invoke:hello_world', EARLIER_MS)
  for (const [who, { worker_id, required_capabilities, provided_capabilities = [] }] of Object.entries(workers)) {
    if (provided_capabilities.length > 0) await register(who, worker_id, provided_capabilities)
    for (const capability of required_capabilities) await call(who, capability)
    const foreign = known.find((name) => !required_capabilities.includes(name))
    if (foreign !== undefined) await call(who, foreign)
  }
  const [first] = Object.entries(workers)
  if (first !== undefined) await register(first[0], `${first[1].worker_id}-other`, known.slice(0, 1))
  await call(legacy, known[0] ?? 'invoke:hello_world')
  await call(`spiffe://${TRUST_DOMAIN}/worker/stranger`, known[0] ?? 'invoke:hello_world')
  return chainLines(events).lines
}

async function verdictOf(engine: OfflineEngine, question: Question, input: PolicyInput): Promise<Judgement> {
  const decision = await engine.decide(question, input)
  const own = createOwnKnowledge(() => engine.files)
  const ruling = rulingOf(question, decision, () => own.isBlocked(input))
  return ruling === 'would_deny' ? { ...decision, decision: 'would_deny' } : decision
}

function about({ files }: OfflineEngine): { policyRevision: string } {
  return { policyRevision: files.revision }
}

/** A UUIDv7 without randomness. */
function decisionId(atMs: number, count: number): string {
  const time = atMs.toString(16).padStart(12, '0')
  const rest = createHash('sha256').update(String(count)).digest('hex')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { policy: { type: 'string' }, out: { type: 'string' } } })
  const out = values.out ?? join(POLICIES, 'samples/audit-sample.jsonl')
  const lines = await recordSample(values.policy ?? POLICIES)
  await mkdir(dirname(out), { recursive: true })
  await writeFile(out, lines)
  process.stdout.write(`${out}: ${lines.split('\n').length - 1} records\n`)
}
