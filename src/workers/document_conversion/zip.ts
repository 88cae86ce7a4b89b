// Unpacks a ZIP file within limits and packs the entries again without compression, for a reader that has no limits.
// APPNOTE.TXT 6.3.10 sections 4.3.7, 4.3.12 and 4.3.16.
import { crc32, inflateRawSync } from 'node:zlib'
import { MAX_UNPACKED_BYTES, MAX_ZIP_ENTRIES } from './limits.ts'
import { ConversionFault, limitFault } from './task.ts'

export type ZipEntry = { readonly name: string; readonly bytes: Buffer }

type Listed = {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly packed: number
  readonly unpacked: number
  readonly offset: number
}

const END = 0x06054b50
const CENTRAL = 0x02014b50
const LOCAL = 0x04034b50
const END_LENGTH = 22
const MAX_COMMENT = 0xffff
const ENCRYPTED = 0x1
const UTF8 = 0x800

/**
 * The entries that `wanted` selects. Declared sizes are checked first, actual sizes while unpacking.
 * @throws {ConversionFault} INVALID_FORMAT (not a ZIP), CORRUPT_DOCUMENT (damaged, encrypted), LIMIT_EXCEEDED
 */
export function unzip(zip: Buffer, wanted: (name: string) => boolean): ZipEntry[] {
  const listed = listEntries(zip).filter(({ name }) => wanted(name))
  let left = MAX_UNPACKED_BYTES - listed.reduce((sum, { unpacked }) => sum + unpacked, 0)
  if (left < 0) throw tooLarge()
  left = MAX_UNPACKED_BYTES
  return listed.map((entry) => {
    const bytes = unpack(zip, entry, left)
    left -= bytes.length
    return { name: entry.name, bytes }
  })
}

function listEntries(zip: Buffer): Listed[] {
  if (zip.length < END_LENGTH || zip.readUInt32LE(0) !== LOCAL) {
    throw new ConversionFault('INVALID_FORMAT', 'document_data is not a ZIP file, and so not docx')
  }
  const end = findEnd(zip)
  const count = zip.readUInt16LE(end + 10)
  if (count > MAX_ZIP_ENTRIES) throw limitFault(`the document has ${count} parts, at most ${MAX_ZIP_ENTRIES} are read`)
  const entries: Listed[] = []
  let at = zip.readUInt32LE(end + 16)
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > zip.length || zip.readUInt32LE(at) !== CENTRAL) throw damaged()
    const nameLength = zip.readUInt16LE(at + 28)
    const flags = zip.readUInt16LE(at + 8)
    entries.push({
      name: zip.toString((flags & UTF8) === 0 ? 'latin1' : 'utf8', at + 46, at + 46 + nameLength),
      flags,
      method: zip.readUInt16LE(at + 10),
      packed: zip.readUInt32LE(at + 20),
      unpacked: zip.readUInt32LE(at + 24),
      offset: zip.readUInt32LE(at + 42),
    })
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  return entries
}

// The comment after the end record has any length: the record is the last signature whose comment reaches the end of
// the file.
function findEnd(zip: Buffer): number {
  const first = Math.max(0, zip.length - END_LENGTH - MAX_COMMENT)
  for (let at = zip.length - END_LENGTH; at >= first; at -= 1) {
    if (zip.readUInt32LE(at) === END && at + END_LENGTH + zip.readUInt16LE(at + 20) === zip.length) return at
  }
  throw damaged()
}

function unpack(zip: Buffer, { flags, method, packed, unpacked, offset }: Listed, left: number): Buffer {
  if ((flags & ENCRYPTED) !== 0) throw new ConversionFault('CORRUPT_DOCUMENT', 'the document is encrypted')
  if (offset + 30 > zip.length || zip.readUInt32LE(offset) !== LOCAL) throw damaged()
  const start = offset + 30 + zip.readUInt16LE(offset + 26) + zip.readUInt16LE(offset + 28)
  const data = zip.subarray(start, start + packed)
  if (data.length !== packed || (method !== 0 && method !== 8)) throw damaged()
  const bytes = method === 0 ? data : inflate(data, left)
  if (bytes.length > left) throw tooLarge()
  if (bytes.length !== unpacked) throw damaged()
  return bytes
}

function inflate(data: Buffer, left: number): Buffer {
  try {
    return inflateRawSync(data, { maxOutputLength: Math.max(left, 1) })
  } catch (cause: unknown) {
    throw cause instanceof RangeError ? tooLarge() : damaged(cause)
  }
}

/** A ZIP file with these entries, stored uncompressed. */
export function zipStored(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, bytes } of entries) {
    const nameBytes = Buffer.from(name)
    const shared = Buffer.alloc(26)
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(UTF8, 2)
    shared.writeUInt32LE(crc32(bytes), 10)
    shared.writeUInt32LE(bytes.length, 14)
    shared.writeUInt32LE(bytes.length, 18)
    shared.writeUInt16LE(nameBytes.length, 22)
    const central = Buffer.alloc(14)
    central.writeUInt32LE(offset, 10)
    directory.push(signature(CENTRAL), Buffer.of(20, 0), shared, central, nameBytes)
    parts.push(signature(LOCAL), shared, nameBytes, bytes)
    offset += 30 + nameBytes.length + bytes.length
  }
  const list = Buffer.concat(directory)
  const end = Buffer.alloc(END_LENGTH - 4)
  end.writeUInt16LE(entries.length, 4)
  end.writeUInt16LE(entries.length, 6)
  end.writeUInt32LE(list.length, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([...parts, list, signature(END), end])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function damaged(cause?: unknown): ConversionFault {
  return new ConversionFault('CORRUPT_DOCUMENT', 'the ZIP file of the document is damaged', { cause })
}

function tooLarge(): ConversionFault {
  return limitFault(`the document is larger than ${MAX_UNPACKED_BYTES} bytes when it is unpacked`)
}
