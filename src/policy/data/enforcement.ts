// Which denials stop a call: `data.enforcement`. The controller reads it itself, so that it also applies while the policy
// engine is down. policies/capability_access.rego decides the same from the same data (test/contract).
import { parseCapability, type Capability } from '../../core/capability.ts'
import type { Mode } from '../../core/decision.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { entryOfCaller, parseCaller } from './caller-entries.ts'
import { entriesOf, isRecord } from './json-object.ts'

/** `callers`: by SPIFFE ID, or by a prefix of whole path segments that ends in a slash. */
export type Enforcement = {
  readonly default: Mode
  readonly callers: ReadonlyMap<string, Mode>
  readonly capabilities: ReadonlyMap<Capability, Mode>
}

/** An invalid entry; `message` begins with its path, such as `enforcement.callers["…"]`. */
export class EnforcementError extends Error {
  override readonly name = 'EnforcementError'
}

const MEMBERS = ['default', 'callers', 'capabilities']

/**
 * Reads `data.enforcement`; without it, and without a default in it, everything is enforced.
 * @throws {EnforcementError} for an unknown mode, member, caller or capability: ignoring it could let calls pass.
 */
export function parseEnforcement(value: unknown): Enforcement {
  if (value === undefined) return { default: 'enforce', callers: new Map(), capabilities: new Map() }
  if (!isRecord(value)) throw new EnforcementError('enforcement: must be an object')
  const unknown = Object.keys(value).find((name) => !MEMBERS.includes(name))
  if (unknown !== undefined) {
    throw new EnforcementError(`enforcement.${unknown}: unknown, must be one of ${MEMBERS.join(', ')}`)
  }
  return {
    default: 'default' in value ? parseMode(value['default'], 'enforcement.default') : 'enforce',
    callers: parseEntries(value['callers'], 'enforcement.callers', parseCaller),
    capabilities: parseEntries(value['capabilities'], 'enforcement.capabilities', parseCapability),
  }
}

/**
 * The mode of a caller's calls of a capability. Entries take precedence over the default; the most specific caller entry
 * wins; if caller and capability differ, enforce wins.
 */
export function modeOf(
  { default: byDefault, callers, capabilities }: Enforcement,
  caller: SpiffeId,
  capability: Capability,
): Mode {
  const entries = [entryOfCaller(callers, caller), capabilities.get(capability)].filter((mode) => mode !== undefined)
  if (entries.length === 0) return byDefault
  return entries.includes('enforce') ? 'enforce' : 'shadow'
}

/** How many entries of each kind let denied calls pass; for the default 0 or 1. */
export function shadowEntries(enforcement: Enforcement): Record<'default' | 'callers' | 'capabilities', number> {
  const shadowed = (modes: Iterable<Mode>): number => [...modes].filter((mode) => mode === 'shadow').length
  return {
    default: shadowed([enforcement.default]),
    callers: shadowed(enforcement.callers.values()),
    capabilities: shadowed(enforcement.capabilities.values()),
  }
}

function parseEntries<K extends string>(value: unknown, path: string, parseKey: (key: string) => K): Map<K, Mode> {
  if (value !== undefined && !isRecord(value)) throw new EnforcementError(`${path}: must be an object`)
  return new Map(
    entriesOf(value).map(([name, mode]) => {
      const where = `${path}[${JSON.stringify(name)}]`
      return [parsed(parseKey, name, where), parseMode(mode, where)]
    }),
  )
}

function parsed<K>(parse: (text: string) => K, text: string, path: string): K {
  try {
    return parse(text)
  } catch (cause: unknown) {
    throw new EnforcementError(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function parseMode(value: unknown, path: string): Mode {
  if (value === 'enforce' || value === 'shadow') return value
  throw new EnforcementError(`${path}: must be "enforce" or "shadow", is ${JSON.stringify(value).slice(0, 64)}`)
}
