// data: images that may be drawn. Every byte is checked here first: the PDF library trusts its input.
import { inflateSync } from 'node:zlib'
import type { Picture } from './blocks.ts'
import { MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGES } from './limits.ts'

export type PictureReader = {
  /** Undefined for anything but an intact PNG or JPEG within the limits. The same URL gives the same picture. */
  readonly read: (dataUrl: string) => Picture | undefined
}

export function createPictureReader(): PictureReader {
  const known = new Map<string, Picture>()
  return {
    read(dataUrl) {
      const url = dataUrl.trim()
      const found = known.get(url)
      if (found !== undefined || known.size >= MAX_IMAGES) return found
      const picture = readPicture(url)
      if (picture !== undefined) known.set(url, picture)
      return picture
    },
  }
}

function readPicture(url: string): Picture | undefined {
  const head = /^data:image\/(?:png|jpe?g)[^,]{0,100};base64,/i.exec(url)?.[0]
  if (head === undefined || url.length - head.length > (MAX_IMAGE_BYTES * 4) / 3) return undefined
  const bytes = new Uint8Array(Buffer.from(url.slice(head.length), 'base64'))
  const size = jpegSize(bytes) ?? pngSize(bytes)
  if (size === undefined || size.width === 0 || size.height === 0) return undefined
  return size.width * size.height > MAX_IMAGE_PIXELS ? undefined : { bytes, ...size }
}

type Size = { readonly width: number; readonly height: number }

// ITU T.81 B.1.1.3: the frame header. PDF does not support arithmetic coding and other rare processes.
const FRAMES = new Set([0xc0, 0xc1, 0xc2])
const CHANNELS = new Set([1, 3, 4])

function jpegSize(bytes: Uint8Array): Size | undefined {
  const view = new DataView(bytes.buffer)
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return undefined
  let at = 2
  while (at + 10 <= bytes.length) {
    if (bytes[at] !== 0xff) return undefined
    const marker = bytes[at + 1] ?? 0
    if (FRAMES.has(marker)) {
      const sound = bytes[at + 4] === 8 && CHANNELS.has(bytes[at + 9] ?? 0)
      return sound ? { height: view.getUint16(at + 5), width: view.getUint16(at + 7) } : undefined
    }
    at += 2 + view.getUint16(at + 2)
  }
  return undefined
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const PNG_CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
type PngChunks = { readonly header: DataView; readonly palette: number; readonly data: Uint8Array[] }

// https://www.w3.org/TR/png-3/: only 8 bits per channel, not interlaced, is drawn; nearly all PNG files are like that.
function pngSize(bytes: Uint8Array): Size | undefined {
  if (!PNG_SIGNATURE.every((byte, at) => bytes[at] === byte)) return undefined
  const chunks = pngChunks(bytes)
  if (chunks === undefined) return undefined
  const { header, palette, data } = chunks
  const size = { width: header.getUint32(0), height: header.getUint32(4) }
  const channels = PNG_CHANNELS[header.getUint8(9)]
  const plain = header.getUint8(8) === 8 && header.getUint16(10) === 0 && header.getUint8(12) === 0
  if (channels === undefined || !plain || size.width * size.height > MAX_IMAGE_PIXELS) return undefined
  if (header.getUint8(9) === 3 && (palette === 0 || palette % 3 !== 0 || palette > 768)) return undefined
  return hasRows(data, 1 + size.width * channels, size.height) ? size : undefined
}

function pngChunks(bytes: Uint8Array): PngChunks | undefined {
  const view = new DataView(bytes.buffer)
  let header: DataView | undefined
  let palette = 0
  const data: Uint8Array[] = []
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at)
    const end = at + 12 + length
    if (end > bytes.length) return undefined
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    if ((header === undefined) !== (type === 'IHDR')) return undefined
    if (type === 'IHDR' && length === 13) header = new DataView(bytes.buffer, at + 8, length)
    if (type === 'PLTE') palette = length
    if (type === 'IDAT') data.push(bytes.subarray(at + 8, end - 4))
    if (type === 'IEND') return header === undefined ? undefined : { header, palette, data }
    at = end
  }
  return undefined
}

// A picture must inflate to exactly its rows, each with a known filter; otherwise it is not drawn.
function hasRows(data: readonly Uint8Array[], rowLength: number, rows: number): boolean {
  const expected = rowLength * rows
  if (expected === 0) return false
  try {
    const inflated = inflateSync(Buffer.concat(data), { maxOutputLength: expected })
    if (inflated.length !== expected) return false
    for (let at = 0; at < expected; at += rowLength) if ((inflated[at] ?? 5) > 4) return false
    return true
  } catch {
    return false
  }
}
