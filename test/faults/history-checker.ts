// Compares what callers, workers and the audit log say about the same calls.
import type { Execution, History, Oracle, Recorded, Told } from './history.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

/**
 * `a`: a worker executed a call without an allow that was on disk before. `b`: an answer without its records. `c`: an allow
 * that the oracle denies. `d`: a second execution. `e`: an end that nobody can know, recorded as known. `f`: a broken chain.
 */
export type Violation = { readonly rule: 'a' | 'b' | 'c' | 'd' | 'e' | 'f'; readonly says: string }

/** What ended so long before a kill was written before it. */
const WRITTEN_WITHIN_MS = 2000
const ALLOWS = new Set(['allow', 'would_deny'])
/** Ends of a call whose work may or may not have been done. */
const UNCLEAR = new Set(['unknown', 'timeout', 'caller_left', 'shutdown'])

export function checkHistory(history: History, oracle: Oracle): Violation[] {
  const index = indexOf(history.records)
  return [
    ...history.executions.flatMap((execution) => uncovered(execution, index)),
    ...history.told.flatMap((told) => unrecorded(told, index, history)),
    ...history.records.flatMap(({ line }) => wronglyAllowed(line, oracle)),
    ...repeated(history),
    ...history.executions.flatMap((execution) => wronglyKnown(execution, index, history)),
    ...brokenChains(history),
  ]
}

type Index = {
  readonly decisions: ReadonlyMap<string, Recorded>
  readonly outcomes: ReadonlyMap<string, Recorded>
}

/** Of several decisions about one call (an attempt again asks again) the first allow counts: nothing may run before it. */
function indexOf(records: readonly Recorded[]): Index {
  const decisions = new Map<string, Recorded>()
  const outcomes = new Map<string, Recorded>()
  for (const one of records) {
    const id = String(one.line['decision_id'])
    if (one.line.event === 'route_outcome') outcomes.set(id, one)
    if (one.line.event !== 'policy_decision') continue
    const known = decisions.get(id)
    if (known === undefined || !ALLOWS.has(String(known.line['decision']))) decisions.set(id, one)
  }
  return { decisions, outcomes }
}

function uncovered({ decisionId, workerId, auditSizes }: Execution, { decisions }: Index): Violation[] {
  const decision = decisions.get(decisionId)
  if (decision === undefined || !ALLOWS.has(String(decision.line['decision']))) {
    return [{ rule: 'a', says: `${workerId} executed ${decisionId}, which has no allow` }]
  }
  if (decision.endsAt <= (auditSizes[decision.file] ?? 0)) return []
  return [{ rule: 'a', says: `${workerId} executed ${decisionId} before its allow was in ${decision.file}` }]
}

function unrecorded(told: Told, { decisions, outcomes }: Index, history: History): Violation[] {
  const { decisionId, status, id } = told
  const isWorkers = told.workerId !== null || told.isReplay
  if (status === null || decisionId === null || !(isWorkers || [200, 403, 502, 504].includes(status))) return []
  const decision = String(decisions.get(decisionId)?.line['decision'])
  const fits = isWorkers || status !== 403 ? ALLOWS.has(decision) : decision === 'deny'
  if (!fits) return [{ rule: 'b', says: `call ${id} was answered ${status}; its decision on record is ${decision}` }]
  if (!ALLOWS.has(decision) || outcomes.has(decisionId) || mayBeLost(told.endMs, history)) return []
  return [{ rule: 'b', says: `call ${id} was answered ${status}; its outcome is not on record` }]
}

/** An outcome is written after the answer: a kill, or a disk that is full, may take it. A decision never. */
function mayBeLost(endMs: number, { killsMs, auditOutages }: History): boolean {
  return (
    killsMs.some((killMs) => endMs > killMs - WRITTEN_WITHIN_MS) ||
    auditOutages.some(({ fromMs, toMs }) => endMs >= fromMs && endMs <= toMs + WRITTEN_WITHIN_MS)
  )
}

function wronglyAllowed(line: AuditLine, oracle: Oracle): Violation[] {
  if (line.event !== 'policy_decision' || line['decision'] !== 'allow') return []
  const verdict = oracle(line)
  if (verdict === true) return []
  const revision = String(line['policy_revision'])
  const call = `${String(line['requester_spiffe_id'])} ${String(line['capability'])}`
  if (verdict === false) return [{ rule: 'c', says: `${call} is allowed, which the policy ${revision} denies` }]
  return [{ rule: 'c', says: `${call} is allowed by a policy ${revision} that was never in force` }]
}

function repeated({ executions, retrySafe }: History): Violation[] {
  const once = executions.filter(({ key, capability }) => key === null || !retrySafe.has(capability))
  const named = (name: string): string => (name.startsWith('d:') ? `decision ${name.slice(2)}` : `key ${name.slice(2)}`)
  const names = once.map(({ caller, key, decisionId }) => (key === null ? `d:${decisionId}` : `k:${caller} ${key}`))
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts]
    .filter(([, count]) => count > 1)
    .map(([name, count]) => ({ rule: 'd', says: `${named(name)} was executed ${count} times` }))
}

function wronglyKnown(execution: Execution, { outcomes }: Index, history: History): Violation[] {
  const { decisionId, workerId, answered, atMs } = execution
  const outcome = outcomes.get(decisionId)?.line['outcome'] as string | undefined
  if (outcome === undefined) {
    const isLost =
      mayBeLost(Math.max(atMs, endOf(history.told, decisionId)), history) ||
      history.killsMs.some((killMs) => killMs > atMs)
    return isLost ? [] : [{ rule: 'e', says: `${workerId} executed ${decisionId}; how it ended is not on record` }]
  }
  // What was sent whole may be lost on the way: then every end is possible.
  if (answered === 'whole') return []
  const isHonest = UNCLEAR.has(outcome) || (answered === 'part' && outcome === 'worker_failed')
  if (isHonest) return []
  const sent = answered === 'none' ? 'no answer' : 'a part of an answer'
  return [{ rule: 'e', says: `${workerId} gave ${decisionId} ${sent}; on record it is ${outcome}` }]
}

function endOf(told: readonly Told[], decisionId: string): number {
  return told.find((one) => one.decisionId === decisionId)?.endMs ?? 0
}

function brokenChains({ chains }: History): Violation[] {
  return Object.entries(chains)
    .filter(([, { ok }]) => !ok)
    .map(([file, { firstBad, tornTailBytes }]) => ({
      rule: 'f',
      says: `${file} does not verify: ${firstBad?.message ?? `${tornTailBytes} bytes of a torn record`}`,
    }))
}
