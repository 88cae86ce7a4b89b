// Edits one member of a JSON object as text: nothing else of it is touched, so that 19-digit numbers stay as they are.
import { jsonMembers } from '../../core/json-members.ts'

type Span = { readonly key: string; readonly start: number; readonly end: number }

const MAX_DEPTH = 100
const INDENT = '  '
const WIDTH = 120

/** `json` with the member set to `value` (a JSON text); a new one comes last. `json`: an object, checked before. */
export function setMember(json: string, key: string, value: string): string {
  const bytes = Buffer.from(json)
  const members = spansOf(bytes)
  const existing = members.find((member) => member.key === key)
  if (existing !== undefined) return splice(bytes, existing.start, existing.end, value)
  const line = `\n${INDENT}${JSON.stringify(key)}: ${value}`
  const last = members.at(-1)
  if (last !== undefined) return splice(bytes, last.end, last.end, `,${line}`)
  return splice(bytes, bytes.indexOf('{') + 1, bytes.lastIndexOf('}'), `${line}\n`)
}

/** `json` without the member, which must be there. */
export function removeMember(json: string, key: string): string {
  const bytes = Buffer.from(json)
  const members = spansOf(bytes)
  const at = members.findIndex((member) => member.key === key)
  const [before, member, after] = [members[at - 1], members[at], members[at + 1]]
  if (member === undefined) return json
  const open = bytes.indexOf('{') + 1
  if (before !== undefined) return splice(bytes, before.end, member.end, '')
  if (after !== undefined) return splice(bytes, open, bytes.indexOf(',', member.end) + 1, '')
  return splice(bytes, open, bytes.lastIndexOf('}'), '')
}

/** A member's value as Prettier would write it at that place: its own members one per line, lists on one if they fit. */
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

function spansOf(json: Buffer): Span[] {
  return [...jsonMembers(json, { maxDepth: MAX_DEPTH })].map(([key, value]) => {
    const start = value.byteOffset - json.byteOffset
    return { key, start, end: start + value.length }
  })
}

function splice(bytes: Buffer, start: number, end: number, text: string): string {
  return `${bytes.toString('utf8', 0, start)}${text}${bytes.toString('utf8', end)}`
}
