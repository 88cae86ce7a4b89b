// Checks JSON as text: finds the position of a fault, and duplicate keys. JSON.parse often reports no position, silently
// keeps the last of two equal keys, and rounds 19-digit integers, so the engine receives the text itself.

/** A text that is not JSON, or has a duplicate key; `message` ends with the line and column. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError'
}

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/uy
const SPACE = /[ \t\r\n]*/y
const MAX_DEPTH = 100

/** Accepts a text that is one JSON value without duplicate keys. @throws {JsonTextError} at the first fault */
export function checkJsonText(text: string): void {
  const reader = createReader(text)
  checkValue(reader, reader.next(), 0)
  reader.end()
}

type Token = { readonly kind: 'mark' | 'string' | 'literal'; readonly text: string; readonly at: number }
type Reader = { next(): Token; end(): void; fail(at: number, what: string): never }

function createReader(text: string): Reader {
  let position = 0
  const skipSpace = (): number => {
    SPACE.lastIndex = position
    SPACE.test(text)
    return SPACE.lastIndex
  }
  const fail = (at: number, what: string): never => {
    const before = text.slice(0, at).split('\n')
    throw new JsonTextError(`${what} at line ${before.length} column ${(before.at(-1) ?? '').length + 1}`)
  }
  return {
    fail,
    next: () => {
      const at = skipSpace()
      TOKEN.lastIndex = at
      const match = TOKEN.exec(text)
      if (match === null) return fail(at, at === text.length ? 'unexpected end' : 'unexpected text')
      position = TOKEN.lastIndex
      const [, mark, string, literal] = match
      if (mark !== undefined) return { kind: 'mark', text: mark, at }
      if (string !== undefined && hasLoneSurrogate(string))
        return fail(at, 'half of a surrogate pair (\\ud800 to \\udfff)')
      return string !== undefined ? { kind: 'string', text: string, at } : { kind: 'literal', text: literal ?? '', at }
    },
    end: () => {
      const at = skipSpace()
      if (at !== text.length) fail(at, 'unexpected text after the end')
    },
  }
}

/** Half of a surrogate pair is not valid text: the embedded engine aborts on it, and OPA reads another character. */
function hasLoneSurrogate(string: string): boolean {
  return string.includes('\\u') && !(JSON.parse(string) as string).isWellFormed()
}

function checkValue(reader: Reader, token: Token, depth: number): void {
  if (depth > MAX_DEPTH) reader.fail(token.at, `nesting deeper than ${MAX_DEPTH}`)
  if (token.kind !== 'mark') return
  if (token.text === '{') checkObject(reader, depth)
  else if (token.text === '[') checkArray(reader, depth)
  else reader.fail(token.at, `unexpected ${token.text}`)
}

function checkObject(reader: Reader, depth: number): void {
  const keys = new Set<unknown>()
  let token = reader.next()
  if (token.text === '}') return
  for (;;) {
    if (token.kind !== 'string') reader.fail(token.at, 'expected a key in double quotes')
    const key: unknown = JSON.parse(token.text)
    if (keys.has(key)) reader.fail(token.at, `duplicate key ${token.text}`)
    keys.add(key)
    const colon = reader.next()
    if (colon.text !== ':') reader.fail(colon.at, 'expected a colon')
    checkValue(reader, reader.next(), depth + 1)
    if (!moreFollows(reader, '}')) return
    token = reader.next()
  }
}

function checkArray(reader: Reader, depth: number): void {
  let token = reader.next()
  if (token.text === ']') return
  for (;;) {
    checkValue(reader, token, depth + 1)
    if (!moreFollows(reader, ']')) return
    token = reader.next()
  }
}

function moreFollows(reader: Reader, close: '}' | ']'): boolean {
  const token = reader.next()
  if (token.text === close) return false
  if (token.text !== ',') reader.fail(token.at, `expected a comma or ${close}`)
  return true
}
