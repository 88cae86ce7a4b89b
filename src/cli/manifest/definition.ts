// What one call of defineWorker says: its id, its capabilities, and what it requires.
import type ts from 'typescript'
import { CapabilityError, parseCapability, type Capability } from '../../core/capability.ts'
import { textOf } from './calls.ts'
import type { Evaluate } from './evaluate.ts'
import { attempt, faultAt, UnresolvedError, type Fault } from './fault.ts'
import { describe, type Value } from './values.ts'

/** `id` is undefined when it cannot be told. `made`: the calls of defineCapability that gave the worker its capabilities. */
export type Definition = {
  readonly id: string | undefined
  readonly provided: readonly Capability[]
  readonly made: ReadonlySet<ts.CallExpression>
  readonly requires: readonly Capability[]
}
/** Reads what it can; the rest is added to `faults`. */
export function readDefinition(site: ts.CallExpression, evaluate: Evaluate, faults: Fault[]): Definition {
  const options = attempt(site, faults, () => evaluate(site))
  if (options?.kind !== 'record') return { id: undefined, provided: [], made: new Set(), requires: [] }
  const id = attempt(site, faults, () => readId(site, options))
  const capabilities = readList(site, options, 'capabilities', faults).flatMap((value) =>
    value.kind === 'capability' ? [value] : unfit(site, `capabilities has ${describe(value)}`, faults),
  )
  const requires = readList(site, options, 'requires', faults).flatMap((value) => readName(site, value, faults))
  return {
    id,
    provided: capabilities.map(({ capability }) => capability),
    made: new Set(capabilities.map((value) => value.site)),
    requires,
  }
}

function readId(site: ts.CallExpression, options: Value & { kind: 'record' }): string {
  const id = textOf(site, options, 'id')
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return id
  throw new UnresolvedError(site, `the id "${id}" must match [A-Za-z0-9_-]{1,64}`)
}

function readList(site: ts.CallExpression, options: Value & { kind: 'record' }, name: string, faults: Fault[]) {
  const list = attempt(site, faults, () => options.member(name)?.() ?? { kind: 'list' as const, items: [] })
  if (list === undefined) return []
  if (list.kind !== 'list') return unfit(site, `${name} is ${describe(list)}, not an array`, faults)
  return list.items.flatMap((item) => attempt(site, faults, item) ?? [])
}

function readName(site: ts.CallExpression, value: Value, faults: Fault[]): Capability[] {
  if (value.kind !== 'text') return unfit(site, `requires has ${describe(value)}`, faults)
  try {
    return [parseCapability(value.text)]
  } catch (cause: unknown) {
    if (cause instanceof CapabilityError) return unfit(site, `requires has "${value.text}": ${cause.message}`, faults)
    throw cause
  }
}

function unfit(site: ts.Node, reason: string, faults: Fault[]): never[] {
  faults.push(faultAt(site, reason))
  return []
}
