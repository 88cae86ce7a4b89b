// Turns the caller's base64 into bytes of one of four formats. The first bytes decide the format: no parser is tried on
// others.
import { capabilityError } from '../../worker/call-error.ts'

export const MAX_IMAGE_BYTES = 10_000_000
export const MAX_BASE64_LENGTH = Math.ceil(MAX_IMAGE_BYTES / 3) * 4

export const FORMATS = ['png', 'jpeg', 'webp', 'gif'] as const
export type Format = (typeof FORMATS)[number]
export type InputImage = { readonly bytes: Buffer; readonly format: Format }

/** @throws {HandlerError} INVALID_IMAGE: not base64, or not one of FORMATS; IMAGE_TOO_LARGE. */
export function parseInputImage(base64: string): InputImage {
  const bytes = parseBase64(base64)
  // The base64 of one or two more bytes may have the same length, which the schema cannot detect.
  if (bytes.length > MAX_IMAGE_BYTES) {
    throw capabilityError('IMAGE_TOO_LARGE', `the image has ${bytes.length} bytes, the limit is ${MAX_IMAGE_BYTES}`)
  }
  const format = formatOf(bytes)
  if (format === undefined) throw capabilityError('INVALID_IMAGE', `the image is not one of ${FORMATS.join(', ')}`)
  return { bytes, format }
}

function parseBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  // Node skips invalid characters, which gives too few bytes.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (bytes.length !== Math.floor(((text.length - padding) * 3) / 4)) {
    throw capabilityError('INVALID_IMAGE', 'image_data is not base64: no line breaks, no "data:" before it')
  }
  return bytes
}

function formatOf(bytes: Buffer): Format | undefined {
  const begins = (text: string, at = 0): boolean => bytes.toString('latin1', at, at + text.length) === text
  if (begins('\x89PNG\r\n\x1a\n')) return 'png'
  if (begins('\xff\xd8\xff')) return 'jpeg'
  if (begins('RIFF') && begins('WEBP', 8)) return 'webp'
  if (begins('GIF87a') || begins('GIF89a')) return 'gif'
  return undefined
}
