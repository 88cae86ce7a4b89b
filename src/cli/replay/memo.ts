// When the answer to an equal question can be reused: same question, caller and subject, at a time that the policy
// cannot distinguish. memo-scan.ts proves that the policy reads nothing else of the input. For time, the policy
// compares only with the
// expiry of the caller's exception and with the longest lifetime of one.
import { DEFAULT_MAX_DAYS, NS_PER_MS } from '../../policy/data/exception-entries.ts'
import { parseExactJson } from '../../policy/data/exact-json.ts'
import { entriesOf, isRecord } from '../../policy/data/json-object.ts'
import type { RegistrationInput } from '../../core/decision.ts'
import type { Recorded } from './recorded.ts'

/** By SPIFFE ID: instants (19 digits, Unix ns) at which an answer may change; `any`: at every instant. */
export type MemoPlan = { readonly turns: ReadonlyMap<string, readonly string[] | 'any'> }

// In this form texts sort like times, and the policy's check of the clock accepts every value.
const CLOCK = /^\d{19}$/
const CLOCK_DIGITS = 19
const CLOCK_END = 10n ** 19n
const NS_PER_DAY = 86_400_000n * NS_PER_MS

/** The plan for the policy data `dataText`; only for Rego that passed memo-scan.ts. */
export function createMemoPlan(dataText: string): MemoPlan {
  const data = parseExactJson(dataText)
  if (!isRecord(data)) return { turns: new Map() }
  const limits = data['exception_limits']
  const maxDays = isRecord(limits) ? limits['max_days'] : undefined
  const days = [DEFAULT_MAX_DAYS, ...(Number.isInteger(maxDays) ? [maxDays as number] : [])]
  return { turns: new Map(entriesOf(data['exceptions']).map(([id, entry]) => [id, turnsOf(entry, days)])) }
}

/** Equal for questions with the same answer; undefined for a question that must be evaluated. */
export function memoKey({ turns }: MemoPlan, { question, subject, input }: Recorded): string | undefined {
  const { identity, context } = input
  if (!CLOCK.test(context.now_ns)) return undefined
  const own = turns.get(identity.spiffe_id)
  if (own === 'any') return undefined
  const phase = own === undefined ? 0 : own.filter((turn) => context.now_ns >= turn).length
  if (question === 'capability_access')
    return `${identity.spiffe_id}\0${subject}\0${phase}\0${context.origin}\0${context.depth}`
  return JSON.stringify([
    question,
    identity.spiffe_id,
    phase,
    context.origin,
    context.depth,
    (input as RegistrationInput).resource,
  ])
}

/** Instants that are never or always passed are left out: they do not distinguish times. */
function turnsOf(entry: unknown, days: readonly number[]): readonly string[] | 'any' {
  const expiry = isRecord(entry) ? entry['expires_after'] : undefined
  if (typeof expiry === 'number' && !Number.isSafeInteger(expiry)) return 'any'
  if (typeof expiry !== 'number' && typeof expiry !== 'bigint') return []
  const endsNs = BigInt(expiry)
  return [endsNs, ...days.map((count) => endsNs - BigInt(count) * NS_PER_DAY)]
    .filter((turn) => turn > 0n && turn < CLOCK_END)
    .map((turn) => String(turn).padStart(CLOCK_DIGITS, '0'))
}
