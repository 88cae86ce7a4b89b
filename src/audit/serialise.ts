// On the path of every call. The only function that turns an event into text. The text is printable ASCII: a line's length
// is its number of bytes, it cannot control a terminal (ESC, bidirectional marks), and lone surrogates survive.
import type { AuditEvent } from './event.ts'

/** The maximum length of a string from outside, and of a list. */
export const MAX_TEXT = 256
/** A shortened identity or URL would name something else: these are never cut, and their parsers limit their length. */
const WHOLE = new Set(['requester_spiffe_id', 'worker_url', 'origin'])
const MAX_WHOLE = 2048

// Strings that need no escape in JSON or ASCII, which most strings of a record are.
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/
const NOT_PRINTABLE = /[^\x20-\x7e]/g

/** The members of `event` as JSON text without the braces: `"event":"policy_decision","timestamp":…`. */
export function serialiseEvent(event: AuditEvent): string {
  return members(event)
}

function members(object: object): string {
  let all = ''
  for (const key in object) {
    const value = (object as Record<string, unknown>)[key]
    if (value !== undefined) all += `${all === '' ? '' : ','}"${key}":${json(value, key)}`
  }
  return all
}

/** Any value of a record as JSON. `key`: the name of its member. */
export function json(value: unknown, key: string): string {
  switch (typeof value) {
    case 'string':
      return WHOLE.has(key) ? whole(value) : text(value)
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null'
    case 'boolean':
      return String(value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? list(value, key) : `{${members(value)}}`
    default:
      throw new TypeError(`an audit event cannot hold a ${typeof value} (${key})`)
  }
}

function list(values: readonly unknown[], key: string): string {
  let all = ''
  for (const value of values.length > MAX_TEXT ? values.slice(0, MAX_TEXT) : values) {
    all += `${all === '' ? '' : ','}${json(value, key)}`
  }
  return `[${all}]`
}

export function text(value: string): string {
  return quote(value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) : value)
}

/** A text that is never cut to MAX_TEXT. */
export function whole(value: string): string {
  return quote(value.length > MAX_WHOLE ? value.slice(0, MAX_WHOLE) : value)
}

function quote(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value).replace(NOT_PRINTABLE, escape)
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
