// Events and links of a span, of which few spans have any, and the times that the API takes.
import type { Attributes, Exception, HrTime, Link, TimeInput } from '@opentelemetry/api'
import type { TimedEvent } from '@opentelemetry/sdk-trace'
import { attributesOf, putAttributes, type AttributeBounds, type SpanLimits } from './span-attributes.ts'

/** The newest events and links, and how many older ones were dropped. */
export type SpanExtras = {
  readonly events: TimedEvent[]
  readonly links: Link[]
  droppedEvents: number
  droppedLinks: number
}

export function noExtras(): SpanExtras {
  return { events: [], links: [], droppedEvents: 0, droppedLinks: 0 }
}

export function noteEvent(extras: SpanExtras, { name, time, attributes }: TimedEvent, limits: SpanLimits): void {
  const { attributePerEventCountLimit: maxCount, attributeValueLengthLimit: maxChars } = limits
  extras.events.push({ name, time, ...limited(attributes, { maxCount, maxChars, simple: true }) })
  extras.droppedEvents += dropOldest(extras.events, limits.eventCountLimit)
}

export function noteLink(extras: SpanExtras, { context, attributes }: Link, limits: SpanLimits): void {
  const { attributePerLinkCountLimit: maxCount, attributeValueLengthLimit: maxChars } = limits
  extras.links.push({ context, ...limited(attributes, { maxCount, maxChars }) })
  extras.droppedLinks += dropOldest(extras.links, limits.linkCountLimit)
}

/** Undefined for an exception that says nothing. The names are those of the semantic conventions. */
export function exceptionAttributes(exception: Exception): Attributes | undefined {
  if (typeof exception === 'string') return exception === '' ? undefined : { 'exception.message': exception }
  const { code, name, message, stack } = exception
  const type = code === undefined || code === '' || code === 0 ? name : String(code)
  if (!type && !message) return undefined
  return {
    ...(type && { 'exception.type': type }),
    ...(message && { 'exception.message': message }),
    ...(stack && { 'exception.stacktrace': stack }),
  }
}

/** Unix ms. A small number counts from the start of the process. */
export function msOf(time: TimeInput): number {
  if (typeof time === 'number') return time <= performance.now() ? performance.timeOrigin + time : time
  return time instanceof Date ? time.getTime() : time[0] * 1e3 + time[1] / 1e6
}

/** Seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1e3)
  return [seconds, Math.round((ms - seconds * 1e3) * 1e6)]
}

export function isTime(value: Attributes | TimeInput | undefined): value is TimeInput {
  return typeof value === 'number' || value instanceof Date || Array.isArray(value)
}

function limited(given: Attributes | undefined, bounds: AttributeBounds) {
  const pairs: unknown[] = []
  const droppedAttributesCount = putAttributes(pairs, given, bounds)
  return { attributes: attributesOf(pairs), droppedAttributesCount }
}

function dropOldest(list: unknown[], limit: number): number {
  const over = Math.max(0, list.length - limit)
  list.splice(0, over)
  return over
}
