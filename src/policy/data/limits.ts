// How much each caller may ask for, and how urgently: `data.limits`. The controller itself judges it, before and beside any
// engine, so that it holds while the engine is down.
import type { Static } from 'typebox'
import { parseCapability, type Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { entryOfCaller, parseCaller } from './caller-entries.ts'
import { LimitsShape, type CallerLimitShape, type LimitShape } from './data-shapes.ts'
import { placeOf } from './fault-place.ts'
import { schemaFaults } from './schema-faults.ts'

/** Undefined members do not limit. `rate`: calls per second, of which `burst` may come at once. */
export type Limit = {
  readonly rate: number | undefined
  readonly burst: number
  readonly concurrent: number | undefined
  readonly bodyBytes: number | undefined
}

/** The limits of one identity: of all its calls, and of those of single capabilities. */
type CallerLimits = Limit & {
  readonly maxPriority: Priority
  readonly capabilities: ReadonlyMap<Capability, Limit>
}

/** `identities`: as in `enforcement.callers`. `capabilities`: for all callers together. */
export type Limits = {
  readonly default: CallerLimits
  readonly identities: ReadonlyMap<string, CallerLimits>
  readonly capabilities: ReadonlyMap<Capability, Limit>
}

/** Invalid limits; `message` begins with the position of the fault. */
class LimitsError extends Error {
  override readonly name = 'LimitsError'
}

/** Reads `data.limits`; undefined without it: nothing is limited. @throws {LimitsError} for anything that is invalid */
export function parseLimits(value: unknown): Limits | undefined {
  if (value === undefined) return undefined
  const data: unknown = { limits: value }
  const [fault] = schemaFaults(LimitsShape, data)
  if (fault !== undefined) throw new LimitsError(`${fault.path} ${fault.reason}`)
  const { default: first = {}, identities = {}, capabilities = {} } = (data as Static<typeof LimitsShape>).limits ?? {}
  return {
    default: callerLimits(first),
    identities: parseKeys(identities, parseCaller, (entry) => callerLimits({ ...inherited(first, entry), ...entry })),
    capabilities: parseKeys(capabilities, parseCapability, limit),
  }
}

/** What limits a caller: its most specific entry, else the default. */
export function limitsOfCaller({ identities, default: byDefault }: Limits, caller: SpiffeId): CallerLimits {
  return entryOfCaller(identities, caller) ?? byDefault
}

type CallerShape = Static<typeof CallerLimitShape>

/** An entry says only what differs from the default; a burst belongs to its rate. */
function inherited({ burst, ...first }: CallerShape, entry: CallerShape): CallerShape {
  return entry.rate === undefined && burst !== undefined ? { ...first, burst } : first
}

function callerLimits(shape: CallerShape): CallerLimits {
  const { max_priority: maxPriority = 'normal', capabilities = {} } = shape
  return { ...limit(shape), maxPriority, capabilities: parseKeys(capabilities, parseCapability, limit) }
}

function limit({ rate, burst, concurrent, body_bytes: bodyBytes }: Static<typeof LimitShape>): Limit {
  return { rate, burst: burst ?? Math.max(1, Math.ceil(rate ?? 1)), concurrent, bodyBytes }
}

function parseKeys<K extends string, V, W>(
  entries: Readonly<Record<string, V>>,
  parseKey: (key: string) => K,
  valueOf: (value: V) => W,
): ReadonlyMap<K, W> {
  return new Map(Object.entries(entries).map(([name, value]) => [keyOf(parseKey, name), valueOf(value)]))
}

/** A key that fits its pattern may still be too long. */
function keyOf<K>(parse: (text: string) => K, name: string): K {
  try {
    return parse(name)
  } catch (cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new LimitsError(`${placeOf('limits', name)} ${reason}`, { cause })
  }
}
