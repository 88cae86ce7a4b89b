// worker_manifests.json as text: unchanged entries keep their bytes, the others are written in prettier's format (two
// spaces, lines of at most 120 characters).
import { jsonMembers, JsonShapeError } from '../../core/json-members.ts'
import { compareText } from './fault.ts'

/** One entry: `text` is its JSON as in the file, `value` the parsed value. */
export type Entry = {
  readonly spiffeId: string
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
}
type Members = Readonly<Record<string, string | readonly string[]>>
export type ManifestFile = {
  /** The text before and after the object `workers`. */
  readonly before: string
  readonly after: string
  readonly text: string
  readonly entries: readonly Entry[]
}

/** A manifest file that cannot be read; `message` gives the fault and its position. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
}

export const EMPTY_MANIFEST = '{\n  "workers": {}\n}\n'

const MAX_DEPTH = 64
const WIDTH = 120

/** @throws {ManifestError} when it is not of the form `{"workers": {<spiffe id>: {…}}}` */
export function parseManifest(text: string): ManifestFile {
  const json = Buffer.from(text)
  const workers = membersOf(json, 'the file').get('workers')
  if (workers === undefined) throw new ManifestError('the file has no "workers"')
  const start = workers.byteOffset - json.byteOffset
  const entries = [...membersOf(workers, '"workers"')].map(([spiffeId, slice]): Entry => {
    const entry = slice.toString()
    const value: unknown = JSON.parse(entry)
    if (!isRecord(value)) throw new ManifestError(`the entry of ${spiffeId} is not an object`)
    return { spiffeId, text: entry, value }
  })
  return {
    before: json.toString('utf8', 0, start),
    after: json.toString('utf8', start + workers.length),
    text,
    entries,
  }
}

/** The file with these entries, sorted by SPIFFE ID; the same text when nothing differs. */
export function formatManifest(file: ManifestFile, entries: readonly Entry[]): string {
  const sorted = entries.toSorted((a, b) => compareText(a.spiffeId, b.spiffeId))
  const isSame =
    sorted.length === file.entries.length &&
    sorted.every(({ spiffeId, text }, at) => {
      return file.entries[at]?.spiffeId === spiffeId && file.entries[at].text === text
    })
  if (isSame) return file.text
  const lines = sorted.map(({ spiffeId, text }) => `    ${JSON.stringify(spiffeId)}: ${text}`)
  return `${file.before}{\n${lines.join(',\n')}\n  }${file.after}`
}

/**
 * The entry with these members replaced; the others keep their text. A missing one is inserted after the preceding
 * one.
 */
export function withMembers(entry: Entry, members: Members): Entry {
  if (Object.entries(members).every(([name, value]) => sameJson(entry.value[name], value))) return entry
  const texts = [...membersOf(Buffer.from(entry.text), entry.spiffeId)].map(
    ([name, raw]) => [name, raw.toString()] as const,
  )
  const list = new Map(texts)
  const order = texts.map(([name]) => name)
  for (const [at, [name, value]] of Object.entries(members).entries()) {
    const before = Object.keys(members)[at - 1]
    if (!list.has(name)) order.splice(before === undefined ? 0 : order.indexOf(before) + 1, 0, name)
    if (!sameJson(entry.value[name], value)) list.set(name, formatMember(name, value))
  }
  return createEntry(entry.spiffeId, new Map(order.map((name) => [name, list.get(name) ?? 'null'])))
}

/** A new entry with these members, in this order. */
export function newEntry(spiffeId: string, members: Members): Entry {
  return createEntry(
    spiffeId,
    new Map(Object.entries(members).map(([name, value]) => [name, formatMember(name, value)])),
  )
}

function createEntry(spiffeId: string, members: ReadonlyMap<string, string>): Entry {
  const lines = [...members].map(([name, value]) => `      ${JSON.stringify(name)}: ${value}`)
  const text = `{\n${lines.join(',\n')}\n    }`
  return { spiffeId, text, value: JSON.parse(text) as Record<string, unknown> }
}

// An array that does not fit on the line, including its comma, has one item per line.
function formatMember(name: string, value: string | readonly string[]): string {
  if (typeof value === 'string') return JSON.stringify(value)
  const items = value.map((item) => JSON.stringify(item))
  const flat = `[${items.join(', ')}]`
  if (`      ${JSON.stringify(name)}: ${flat},`.length <= WIDTH) return flat
  return `[\n${items.map((item) => `        ${item}`).join(',\n')}\n      ]`
}

function membersOf(json: Buffer, what: string): Map<string, Buffer> {
  try {
    if (!isRecord(JSON.parse(json.toString()))) throw new ManifestError(`${what} is not a JSON object`)
    return jsonMembers(json, { maxDepth: MAX_DEPTH })
  } catch (cause: unknown) {
    if (cause instanceof SyntaxError || cause instanceof JsonShapeError) {
      throw new ManifestError(`${what}: ${cause.message}`, { cause })
    }
    throw cause
  }
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
