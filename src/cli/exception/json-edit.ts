// Edits one member of a JSON object as text: the rest is unchanged, so that 19-digit numbers keep their digits.
import { jsonMembers } from '../../core/json-members.ts'

const MAX_DEPTH = 100
const INDENT = '  '
const WIDTH = 120

/** Sets the member of `json` to `value` (a JSON text); a new member comes last. `json`: a valid object. */
export function setMember(json: string, key: string, value: string): string {
  const bytes = Buffer.from(json)
  const { inside, members } = placesIn(bytes)
  const existing = members.find((member) => member.key === key)
  if (existing !== undefined) return splice(bytes, existing.value, value)
  const line = `\n${INDENT}${JSON.stringify(key)}: ${value}`
  const last = members.at(-1)
  if (last === undefined) return splice(bytes, inside, `${line}\n`)
  return splice(bytes, { start: last.value.end, end: last.value.end }, `,${line}`)
}

/** Removes the member from `json`; unchanged if there is none. */
export function removeMember(json: string, key: string): string {
  const bytes = Buffer.from(json)
  const member = placesIn(bytes).members.find((one) => one.key === key)
  return member === undefined ? json : splice(bytes, member.whole, '')
}

type Place = { readonly start: number; readonly end: number }
/** `value`: the value alone. `whole`: everything that belongs to the member, including its comma. */
type Member = { readonly key: string; readonly value: Place; readonly whole: Place }

/** The positions of the parts of an object in its bytes. `inside`: everything between the braces. */
export function placesIn(json: Buffer): { readonly inside: Place; readonly members: readonly Member[] } {
  const inside = { start: json.indexOf('{') + 1, end: json.lastIndexOf('}') }
  const values = [...jsonMembers(json, { maxDepth: MAX_DEPTH })].map(([key, value]) => {
    const start = value.byteOffset - json.byteOffset
    return { key, value: { start, end: start + value.length } }
  })
  const members = values.map(({ key, value }, at) => {
    const before = values[at - 1]?.value
    if (before !== undefined) return { key, value, whole: { start: before.end, end: value.end } }
    // The first member includes the comma after it; the only member, everything between the braces.
    const end = values.length === 1 ? inside.end : json.indexOf(',', value.end) + 1
    return { key, value, whole: { start: inside.start, end } }
  })
  return { inside, members }
}

/** A member's value as Prettier would write it there: its members one per line, lists on one line if they fit. */
export function formatEntry(entry: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(entry).map(([key, value]) =>
    formatLine(`${INDENT}${INDENT}${JSON.stringify(key)}: `, value),
  )
  return `{\n${lines.join(',\n')}\n${INDENT}}`
}

function formatLine(start: string, value: unknown): string {
  if (!Array.isArray(value)) return `${start}${formatValue(value)}`
  const items = value.map(formatValue)
  const oneLine = `${start}[${items.join(', ')}]`
  // One more for the comma.
  if (oneLine.length < WIDTH) return oneLine
  const inner = INDENT.repeat(3)
  return `${start}[\n${items.map((item) => `${inner}${item}`).join(',\n')}\n${INDENT}${INDENT}]`
}

function formatValue(value: unknown): string {
  return typeof value === 'bigint' ? value.toString() : JSON.stringify(value)
}

function splice(bytes: Buffer, { start, end }: Place, text: string): string {
  return `${bytes.toString('utf8', 0, start)}${text}${bytes.toString('utf8', end)}`
}
