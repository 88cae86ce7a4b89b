// Decodes a text format in the encoding that it declares, or else in UTF-8.
import { ConversionFault, type TextFormat } from './task.ts'

const MARKS: readonly (readonly [encoding: string, mark: readonly number[]])[] = [
  ['utf-8', [0xef, 0xbb, 0xbf]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
]
const OTHER_FORMATS: Readonly<Record<string, string>> = { '%PDF-': 'PDF', 'PK\u0003\u0004': 'ZIP', '{\\rtf': 'RTF' }

/**
 * @throws {ConversionFault} INVALID_FORMAT for another format; CORRUPT_DOCUMENT for bytes that are invalid in the
 * encoding
 */
export function decodeText(bytes: Uint8Array, format: TextFormat): string {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 1024)).toString('latin1')
  for (const [magic, name] of Object.entries(OTHER_FORMATS)) {
    if (start.startsWith(magic)) throw new ConversionFault('INVALID_FORMAT', `document_data is ${name}, not ${format}`)
  }
  const marked = MARKS.find(([, mark]) => mark.every((byte, at) => bytes[at] === byte))?.[0]
  const encoding = marked ?? (format === 'html' ? namedEncoding(start) : undefined) ?? 'utf-8'
  if (marked === undefined && start.includes('\0')) {
    throw new ConversionFault('INVALID_FORMAT', `document_data has NUL bytes: it is not ${format}`)
  }
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause: unknown) {
    throw new ConversionFault('CORRUPT_DOCUMENT', `document_data is not text in ${encoding}`, { cause })
  }
}

// HTML 13.2.3.2: a meta tag within the first 1024 bytes. An unknown label is ignored.
function namedEncoding(start: string): string | undefined {
  const label = /<meta[^>]{1,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})/i.exec(start)?.[1]
  if (label === undefined) return undefined
  try {
    const { encoding } = new TextDecoder(label)
    // A text that was readable as ASCII up to here is not UTF-16.
    return encoding.startsWith('utf-16') ? 'utf-8' : encoding
  } catch {
    return undefined
  }
}
