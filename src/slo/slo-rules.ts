// Rules about an SLO that a schema cannot express. They also run over a document with other faults, so that all faults
// are reported together: a member of the wrong type is skipped here.
import { parseCapability } from '../core/capability.ts'
import { parseDuration } from '../platform/duration.ts'
import { DEFAULT_BURN } from './slo.ts'

type RuleFault = { readonly parts: readonly string[]; readonly reason: string }

const DAY_MS = 86_400_000
const MAX_WINDOW_DAYS = 90
const LATENCIES = ['p50_ms', 'p95_ms', 'p99_ms'] as const

/** The faults of a parsed file, whatever it contains. */
export function ruleFaults(value: unknown): RuleFault[] {
  const slo = recordOf(value)
  return [...capabilityFaults(slo), ...windowFaults(slo), ...latencyFaults(slo), ...burnFaults(slo), ...shedFaults(slo)]
}

function capabilityFaults({ capability }: Loose): RuleFault[] {
  if (typeof capability !== 'string') return []
  try {
    parseCapability(capability)
    return []
  } catch {
    return [{ parts: ['capability'], reason: 'must be a capability, such as invoke:hello_world' }]
  }
}

function windowFaults({ window }: Loose): RuleFault[] {
  if (typeof window !== 'string') return []
  const ms = durationMs(window)
  if (ms !== undefined && ms >= DAY_MS && ms <= MAX_WINDOW_DAYS * DAY_MS) return []
  return [{ parts: ['window'], reason: 'must be a duration from 1d to 90d, such as 30d' }]
}

/** The 99th of 100 calls is never faster than the 95th. */
function latencyFaults({ latency }: Loose): RuleFault[] {
  const given = LATENCIES.map((name) => ({ name, ms: numberOf(recordOf(latency)[name]) })).filter(
    (one): one is { name: (typeof LATENCIES)[number]; ms: number } => one.ms !== undefined,
  )
  return given.flatMap(({ name, ms }, at) => {
    const before = given[at - 1]
    if (before === undefined || before.ms <= ms) return []
    return [{ parts: ['latency', name], reason: `must be at least ${before.name}, which is ${before.ms}` }]
  })
}

/** If every call fails, the burn rate is 1 / (1 - availability): a threshold above it never applies. */
function burnFaults({ availability, error_budget }: Loose): RuleFault[] {
  const target = numberOf(availability)
  const given = recordOf(error_budget)
  const fast = numberOf(given['fast_burn']) ?? DEFAULT_BURN.fast
  const slow = numberOf(given['slow_burn']) ?? DEFAULT_BURN.slow
  const faults: RuleFault[] = []
  if (slow >= fast && fast >= 1) {
    faults.push({ parts: ['error_budget', 'slow_burn'], reason: `must be below fast_burn, which is ${fast}` })
  }
  if (target === undefined || target < 0.5 || target >= 1) return faults
  const most = 1 / (1 - target)
  if (fast > most) {
    const rounded = Math.floor(most * 100 + 1e-6) / 100
    const reason = `is ${fast} and never reached: with availability ${target} the burn rate is at most ${rounded}; set it below that`
    faults.push({ parts: ['error_budget', 'fast_burn'], reason })
  }
  return faults
}

function shedFaults({ shed }: Loose): RuleFault[] {
  if (!Array.isArray(shed)) return []
  const faults: RuleFault[] = []
  if (shed.includes('normal') && !shed.includes('low')) {
    faults.push({ parts: ['shed'], reason: 'must list low with normal: low is shed first' })
  }
  if (new Set(shed).size < shed.length) faults.push({ parts: ['shed'], reason: 'must not have duplicates' })
  return faults
}

type Loose = Readonly<Record<string, unknown>>

function recordOf(value: unknown): Loose {
  return typeof value === 'object' && value !== null ? (value as Loose) : {}
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function durationMs(text: string): number | undefined {
  try {
    return parseDuration(text)
  } catch {
    return undefined
  }
}
