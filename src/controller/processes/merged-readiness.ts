// Whether all processes of a controller serve: callers of a shared port reach any of them.
import type { Check, Readiness } from '../readiness.ts'
import type { BySlot } from './words.ts'

/** Ready if all that serve are; that one is being replaced is said, and callers of the others notice nothing. */
export function mergeReadiness(all: BySlot<Readiness>): Readiness {
  const serving = all.flatMap(([slot, readiness]) => (readiness === undefined ? [] : [{ slot, ...readiness }]))
  const checks = Map.groupBy(
    serving.flatMap(({ slot, checks }) => checks.map((check) => ({ slot, check }))),
    ({ check }) => check.name,
  )
  const merged = [...checks.values()].flatMap((of) => mergeCheck(of) ?? [])
  merged.push(countCheck(serving.length, all.length))
  return { status: merged.every(({ ok }) => ok) ? 'ready' : 'not_ready', checks: merged }
}

type Told = { readonly slot: number; readonly check: Check }

function mergeCheck(told: readonly Told[]): Check | undefined {
  const [first] = told
  if (first === undefined) return undefined
  const ok = told.every(({ check }) => check.ok)
  const relevant = told.filter(({ check }) => check.ok === ok && check.reason !== undefined)
  const reasons = new Set(relevant.map(({ check }) => check.reason))
  if (reasons.size === 0) return { name: first.check.name, ok }
  const isCommon = relevant.length === told.length && reasons.size === 1
  const reason = isCommon
    ? [...reasons].join()
    : relevant.map(({ slot, check }) => `process ${slot}: ${String(check.reason)}`).join('; ')
  return { name: first.check.name, ok, reason }
}

function countCheck(serving: number, of: number): Check {
  const ok = serving > 0
  if (serving === of) return { name: 'processes', ok }
  return { name: 'processes', ok, reason: `${serving} of ${of} processes serve` }
}
