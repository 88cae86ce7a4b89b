// On the path of every call. Finds the members of a JSON object in its bytes: one pass that does not need valid JSON and
// stops at the first breach of a limit, so that nothing is parsed before the caller is authorised. Values are slices, not
// copies: a payload is forwarded byte for byte, since parsing and serialising it would round 19-digit integers.

import { skipRun, startOfRun, tableOf } from './byte-run.ts'
import { quoted } from './printable.ts'

/** The text is not accepted; `message` says why. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError'
  /** `not_json`: the text is not JSON; `unknown_member`: a member that `names` does not list; `limit`: any other breach. */
  readonly kind: 'not_json' | 'unknown_member' | 'limit'

  constructor(message: string, kind: JsonShapeError['kind'] = 'limit') {
    super(message)
    this.kind = kind
  }
}

export type JsonLimits = {
  /** How many levels of nesting are allowed. */
  readonly maxDepth: number
  /** The names that the top-level object may have; undefined: any. */
  readonly names?: ReadonlySet<string> | undefined
  /** How many members the top-level object may have; undefined: any number. */
  readonly maxMembers?: number
  /** Refuses names that could poison prototypes in a later merge: `__proto__`, and `prototype` in a `constructor`. */
  readonly refusePrototypes?: boolean
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const UNDERSCORE = 0x5f
const LOWER_C = 0x63
const LOWER_P = 0x70
const LOWER_U = 0x75
const ZERO = 0x30
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
/** A longer string is skipped by a native search; for a shorter one that call costs more than it saves. */
const SHORT_STRING = 48
/** `\u0061` */
const ESCAPE_BYTES = 6
const PLAIN = tableOf((character) => !'"{}[],'.includes(character))
const SPACE = tableOf((character) => ' \n\r\t'.includes(character))
const IS_WORD = tableOf((character) => /\w/.test(character))

/**
 * The value of each member of the top-level object, as a slice of `json`; empty when the top level is not an object. Accepts
 * every valid text within the limits. Does not find every fault inside a value: a reader that needs valid JSON still has to
 * parse the value.
 * @throws {JsonShapeError} at the first breach of a limit, at a duplicate top-level name, or where the text is not JSON.
 */
export function jsonMembers(json: Buffer, limits: JsonLimits): Map<string, Buffer> {
  const members = new Map<string, Buffer>()
  // 1 for each level whose object is the value of a member `constructor`.
  const constructors = new Uint8Array(limits.maxDepth + 1)
  let at = skipSpace(json, 0)
  if (json[at] !== OPEN_BRACE) {
    skipValue(json, at, { limits, depth: 0, constructors })
    return members
  }
  const within = { limits, depth: 1, constructors }
  at = skipSpace(json, at + 1)
  while (json[at] !== CLOSE_BRACE || members.size > 0) {
    if (json[at] !== QUOTE) throw malformed()
    const end = endOfString(json, at)
    const name = nameOf(json, at, end)
    if (limits.names?.has(name) === false) throw unknownMember(name)
    if (members.has(name)) throw new JsonShapeError(`duplicate member ${quoted(name)}`)
    if (members.size === limits.maxMembers) throw new JsonShapeError(`more than ${limits.maxMembers} members`)
    at = skipSpace(json, end + 1)
    if (json[at] !== COLON) throw malformed()
    const from = skipSpace(json, at + 1)
    at = skipValue(json, from, within)
    members.set(name, json.subarray(from, endOfValue(json, at)))
    if (json[at] !== COMMA) break
    at = skipSpace(json, at + 1)
  }
  if (json[at] !== CLOSE_BRACE || skipSpace(json, at + 1) < json.length) throw malformed()
  return members
}

/** The text without the space around it, which may be a megabyte: the next reader need not skip it again. */
export function withoutSpaceAround(json: Buffer): Buffer {
  const from = skipSpace(json, 0)
  return json.subarray(from, Math.max(from, endOfValue(json, json.length)))
}

/** Whether a text without leading space is an object, provided that it is JSON. */
export function startsObject(json: Buffer): boolean {
  return json[0] === OPEN_BRACE
}

/** `depth`: the level of the value. */
type Place = { readonly limits: JsonLimits; readonly depth: number; readonly constructors: Uint8Array }

/** Index of the comma or closing bracket after the value at `from`; the end of the text if nothing follows. */
function skipValue(json: Buffer, from: number, { depth, limits, constructors }: Place): number {
  let level = depth
  let at = from
  let constructorAt = -1
  while (at < json.length) {
    const byte = json[at]
    if (byte === QUOTE) {
      const after = endOfString(json, at) + 1
      if (limits.refusePrototypes === true && level > depth && mayPoison(json[at + 1])) {
        const colon = skipSpace(json, after)
        const isConstructor = json[colon] === COLON && isConstructorName(json, at, constructors[level] === 1)
        at = json[colon] === COLON ? skipSpace(json, colon + 1) : colon
        if (isConstructor) constructorAt = at
      } else at = after
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++level > limits.maxDepth) throw new JsonShapeError(`nested deeper than ${limits.maxDepth} levels`)
      constructors[level] = at === constructorAt ? 1 : 0
      at++
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (level === depth) break
      level--
      at++
    } else if (byte === COMMA && level === depth) break
    else {
      // Numbers, words and space need no check.
      at = skipRun(json, at + 1, PLAIN)
    }
  }
  if (at === from || level !== depth) throw malformed()
  return at
}

/** Whether a name with this first byte may be one of the three that poison prototypes. */
function mayPoison(first: number | undefined): boolean {
  return first === UNDERSCORE || first === LOWER_C || first === LOWER_P || first === BACKSLASH
}

/** Whether the name that opens at `start` is `constructor`. @throws {JsonShapeError} for `__proto__`, and for `prototype` in a `constructor` */
function isConstructorName(json: Buffer, start: number, inConstructor: boolean): boolean {
  const isPrototype = inConstructor && spells(json, start, 'prototype')
  if (isPrototype || spells(json, start, '__proto__')) {
    throw new JsonShapeError(`the name "${isPrototype ? 'constructor.prototype' : '__proto__'}" is not allowed`)
  }
  return spells(json, start, 'constructor')
}

/** Whether the string that opens at `start` is `word`; any of its characters may be escaped. */
function spells(json: Buffer, start: number, word: string): boolean {
  let at = start + 1
  for (let n = 0; n < word.length; n++) {
    const code = word.charCodeAt(n)
    if (json[at] === code) at++
    else if (isEscaped(json, at, code)) at += ESCAPE_BYTES
    else return false
  }
  return json[at] === QUOTE
}

function isEscaped(json: Buffer, at: number, code: number): boolean {
  if (json[at] !== BACKSLASH || json[at + 1] !== LOWER_U || json[at + 2] !== ZERO || json[at + 3] !== ZERO) return false
  return Number.parseInt(json.toString('latin1', at + 4, at + ESCAPE_BYTES), 16) === code
}

/** Index of the quote that closes the string opened at `start`: the first one that is not escaped. */
function endOfString(json: Buffer, start: number): number {
  let at = start + 1
  while (at < json.length) {
    const stop = Math.min(at + SHORT_STRING, json.length)
    while (at < stop) {
      const byte = json[at]
      if (byte === QUOTE) return at
      at += byte === BACKSLASH ? 2 : 1
    }
    const quote = json.indexOf(QUOTE, at)
    if (quote === -1) break
    if (backslashesBefore(json, quote, at) % 2 === 0) return quote
    at = quote + 1
  }
  throw malformed()
}

function backslashesBefore(json: Buffer, at: number, from: number): number {
  let first = at
  while (first > from && json[first - 1] === BACKSLASH) first--
  return at - first
}

function nameOf(json: Buffer, start: number, end: number): string {
  let at = start + 1
  while (IS_WORD[json[at] ?? QUOTE] === 1) at++
  if (at === end) return json.toString('latin1', start + 1, end)
  try {
    return JSON.parse(json.toString('utf8', start, end + 1)) as string
  } catch {
    throw malformed()
  }
}

/** The same wording as the schema validator uses for deeper levels. */
function unknownMember(name: string): JsonShapeError {
  return new JsonShapeError(`must NOT have additional properties (${quoted(name)})`, 'unknown_member')
}

function malformed(): JsonShapeError {
  return new JsonShapeError('it is not valid JSON', 'not_json')
}

function skipSpace(json: Buffer, from: number): number {
  return skipRun(json, from, SPACE)
}

function endOfValue(json: Buffer, after: number): number {
  return startOfRun(json, after, SPACE)
}
