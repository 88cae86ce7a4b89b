// On the path of every call. Holds calls against limits.json: rate, calls in flight, and bytes of bodies in flight, by caller,
// by caller and capability, and by capability.
import type { Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import type { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { limitsOfCaller, type Limit, type Limits } from '../../policy/data/limits.ts'
import { createRateBuckets } from './rate-buckets.ts'
import { overBytes, overConcurrent, overRate, type LimitScope } from './rate-limited.ts'
import { createUsageTable, type Usage } from './usage.ts'

/** What a call holds while it is in flight. */
export type Hold = { readonly release: () => void }

export type Quotas = {
  /** Counts a call against the rate of its caller, before its body is read. @returns why it is refused, if it is */
  readonly arrive: (caller: SpiffeId, bytes: number) => AppError | undefined
  /** Counts a call against the other limits, for as long as it is in flight. @returns or why it is refused */
  readonly enter: (call: { caller: SpiffeId; capability: Capability }, bytes: number) => Hold | AppError
  /** The priority that a caller gets. */
  readonly priorityOf: (caller: SpiffeId, asked: Priority) => Priority
}

type QuotasOptions = {
  /** The limits in force; undefined: none. */
  readonly limits: () => Limits | undefined
  /** The part of each limit that this process may use; 1 if it is the only one. */
  readonly share: () => number
  readonly monotonic: () => number
}

/** Callers, and pairs of caller and capability, that are remembered. */
const MAX_KEYS = 10_000
const RANK: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2 }
const NOTHING_HELD: Hold = { release: () => undefined }

type Scoped = { readonly scope: LimitScope; readonly key: string; readonly limit: Limit }

export function createQuotas({ limits, share, monotonic }: QuotasOptions): Quotas {
  const buckets = createRateBuckets({ maxBuckets: MAX_KEYS, monotonic })
  const usage = createUsageTable(MAX_KEYS)

  function takeToken({ scope, key, limit: { rate, burst } }: Scoped): AppError | undefined {
    if (rate === undefined) return undefined
    const waitMs = buckets.take(key, shared(rate, burst))
    return waitMs > 0 ? overRate(scope, { rate, burst }, waitMs) : undefined
  }

  function shared(rate: number, burst: number): { rate: number; burst: number } {
    const part = share()
    return part === 1 ? { rate, burst } : { rate: rate * part, burst: Math.max(1, burst * part) }
  }

  function fullness({ scope, key, limit }: Scoped, bytes: number): AppError | undefined {
    const { concurrent, bodyBytes } = limit
    const used = usage.peek(key) ?? NO_USAGE
    if (concurrent !== undefined && used.calls >= Math.max(1, concurrent * share())) {
      return overConcurrent(scope, concurrent)
    }
    if (bodyBytes === undefined || bytes === 0) return undefined
    // One body that the limit allows is always allowed, however many processes share the limit.
    const part = used.bytes === 0 ? 1 : share()
    return used.bytes + bytes > bodyBytes * part ? overBytes(scope, bodyBytes, bytes) : undefined
  }

  return {
    arrive(caller, bytes) {
      const inForce = limits()
      if (inForce === undefined) return undefined
      const own: Scoped = { scope: 'identity', key: caller, limit: limitsOfCaller(inForce, caller) }
      return fullness(own, bytes) ?? takeToken(own)
    },
    enter({ caller, capability }, bytes) {
      const inForce = limits()
      if (inForce === undefined) return NOTHING_HELD
      const found = scopesOf(inForce, caller, capability)
      for (const scoped of found) {
        const full = fullness(scoped, bytes)
        if (full !== undefined) return full
      }
      const held = found.map(({ key }) => usage.of(key))
      return takeTokens(found) ?? hold(held, bytes)
    },
    priorityOf(caller, asked) {
      const inForce = limits()
      if (inForce === undefined) return asked
      const { maxPriority } = limitsOfCaller(inForce, caller)
      return RANK[asked] > RANK[maxPriority] ? maxPriority : asked
    },
  }

  /** All or none: a call that is refused must not cost a token. The caller's own was taken on arrival. */
  function takeTokens([, ...wanted]: readonly Scoped[]): AppError | undefined {
    for (const [at, scoped] of wanted.entries()) {
      const refused = takeToken(scoped)
      if (refused === undefined) continue
      for (const { key, limit } of wanted.slice(0, at)) {
        if (limit.rate !== undefined) buckets.giveBack(key, shared(limit.rate, limit.burst))
      }
      return refused
    }
    return undefined
  }
}

const NO_USAGE: Usage = { calls: 0, bytes: 0 }

/** What limits a call: first its caller, whose token it has taken on arrival. */
function scopesOf(limits: Limits, caller: SpiffeId, capability: Capability): Scoped[] {
  const own = limitsOfCaller(limits, caller)
  const scopes: Scoped[] = [{ scope: 'identity', key: caller, limit: own }]
  const pair = own.capabilities.get(capability)
  if (pair !== undefined) scopes.push({ scope: 'identity_capability', key: `${caller} ${capability}`, limit: pair })
  const ofAll = limits.capabilities.get(capability)
  if (ofAll !== undefined) scopes.push({ scope: 'capability', key: capability, limit: ofAll })
  return scopes
}

function hold(held: readonly Usage[], bytes: number): Hold {
  for (const usage of held) {
    usage.calls += 1
    usage.bytes += bytes
  }
  return {
    release() {
      for (const usage of held) {
        usage.calls -= 1
        usage.bytes -= bytes
      }
    },
  }
}
