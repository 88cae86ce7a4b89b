// Attributes of spans: a flat list name, value, name, value …, within the limits of OTEL_SPAN_* and OTEL_ATTRIBUTE_*, by the rules
// of the SDK.
import { diag } from '@opentelemetry/api'
import type { Attributes } from '@opentelemetry/api'
import type { SpanLimits as SdkLimits } from '@opentelemetry/sdk-trace'

export type SpanLimits = Readonly<Required<SdkLimits>>

/** `maxCount`: how many attributes; `maxChars`: how much of each text is kept; `simple`: no nested values, as in an event. */
export type AttributeBounds = { readonly maxCount: number; readonly maxChars: number; readonly simple?: true }

const MAX_DEPTH = 16

/** Adds an attribute, or replaces the value that the name has; undefined is no value. `over`: there are `maxCount` others. */
export function putAttribute(
  pairs: unknown[],
  name: string,
  value: unknown,
  { maxCount, maxChars, simple }: AttributeBounds,
): 'kept' | 'invalid' | 'over' {
  if (value === undefined) return 'kept'
  let at = 0
  while (at < pairs.length && pairs[at] !== name) at += 2
  if (at >= 2 * maxCount && name !== '') return 'over'
  const kept = simple === true && !isSimple(value) ? undefined : accepted(value, 0)
  if (kept === undefined || name === '') {
    diag.warn(`the attribute "${name}" has no name or no valid value and was left out`)
    return 'invalid'
  }
  pairs[at] = name
  pairs[at + 1] = maxChars === Infinity ? kept : shortened(kept, maxChars)
  return 'kept'
}

/** Adds all of `given`. @returns how many were left out */
export function putAttributes(pairs: unknown[], given: Attributes | undefined, bounds: AttributeBounds): number {
  let leftOut = 0
  for (const name in given) if (putAttribute(pairs, name, given[name], bounds) !== 'kept') leftOut += 1
  return leftOut
}

export function attributesOf(pairs: readonly unknown[]): Attributes {
  const attributes: Attributes = {}
  for (let at = 0; at < pairs.length; at += 2) attributes[pairs[at] as string] = pairs[at + 1]
  return attributes
}

/** As a span keeps it, copied where the caller could change it later; undefined if OTLP cannot express it. */
function accepted(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return value
    case 'object':
      // Deeper than anything that is meant, or a circle.
      return depth > MAX_DEPTH ? undefined : acceptedObject(value, depth + 1)
    default:
      return undefined
  }
}

function acceptedObject(value: object | null, depth: number): unknown {
  if (value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) {
    const items: unknown[] = value.map((item: unknown) => accepted(item, depth))
    return items.some((item, at) => item === undefined && value[at] !== undefined) ? undefined : items
  }
  const kind: unknown = Object.getPrototypeOf(value)
  if (kind !== Object.prototype && kind !== null) return undefined
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const copies = members.map(([name, member]) => [name, accepted(member, depth)] as const)
  return copies.some(([, copy]) => copy === undefined) ? undefined : Object.fromEntries(copies)
}

/** One value, or a list of values of one type. */
function isSimple(value: unknown): boolean {
  if (!Array.isArray(value)) return typeof value !== 'object'
  const types = new Set(value.filter((item) => item !== undefined && item !== null).map((item) => typeof item))
  return types.size <= 1 && !types.has('object')
}

function shortened(value: unknown, maxChars: number): unknown {
  if (typeof value === 'string') return value.slice(0, maxChars)
  if (value instanceof Uint8Array) return value.subarray(0, maxChars)
  if (Array.isArray(value)) return value.map((item) => shortened(item, maxChars))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shortened(member, maxChars)]))
}
