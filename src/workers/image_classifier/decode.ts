// Decodes untrusted images with libvips: only four loaders, limits before pixels, only the first frame.
import type { Metadata, Sharp, SharpOptions } from 'sharp'
import { capabilityError } from '../../worker/call-error.ts'
import type { Format, InputImage } from './input-image.ts'
import { PICTURE_SIDE, type Picture } from './picture.ts'

export const MAX_SIDE = 16_384
export const MAX_PIXELS = 40_000_000
/** Wall-clock time. A busy node can exceed it with any image, so it says nothing about the image. */
export const MAX_DECODE_SECONDS = 15

/**
 * `width` and `height` in pixels, as a viewer shows the image (upright). `frames` of an animation; only the first is
 * used.
 */
export type Source = {
  readonly format: Format
  readonly width: number
  readonly height: number
  readonly frames: number
}
type Decoded = { readonly picture: Picture; readonly source: Source }
export type Decode = (image: InputImage) => Promise<Decoded>

export type SharpModule = (input: Buffer, options: SharpOptions) => Sharp

/** Loads libvips at the first call. Decoding runs in the threads of libvips, not in this one. */
export function createDecode(load: () => Promise<SharpModule> = loadSharp): Decode {
  let sharp: Promise<SharpModule> | undefined
  return async (image) => {
    const open = await (sharp ??= load())
    const source = await readSource(open, image)
    return { source, picture: await readPicture(open, image) }
  }
}

async function loadSharp(): Promise<SharpModule> {
  const { default: sharp } = await import('sharp')
  // No cache: one caller's image must not remain in memory for the next.
  sharp.cache(false)
  sharp.concurrency(1)
  // SVG and PDF can refer to files and addresses; AVIF takes 17 bytes of memory per pixel; nobody needs the others.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: ['Png', 'Jpeg', 'Webp', 'Nsgif'].map((name) => `VipsForeignLoad${name}`) })
  return sharp
}

/** Reads the header only. @throws {HandlerError} INVALID_IMAGE, IMAGE_TOO_LARGE. */
async function readSource(open: SharpModule, { bytes, format }: InputImage): Promise<Source> {
  const { autoOrient, pages } = await headerOf(open, bytes).catch((cause: unknown) => {
    throw capabilityError('INVALID_IMAGE', `the ${format} cannot be read`, { cause })
  })
  const { width, height } = autoOrient
  if (Math.max(width, height) > MAX_SIDE) tooLarge(`a side of ${Math.max(width, height)} pixels`, `${MAX_SIDE}`)
  if (width * height > MAX_PIXELS) tooLarge(`${width} x ${height} pixels`, `${MAX_PIXELS} in all`)
  return { format, width, height, frames: pages ?? 1 }
}

// These limits are checked here, so that the answer can name them; libvips enforces them again when it decodes pixels.
async function headerOf(open: SharpModule, bytes: Buffer): Promise<Metadata> {
  return open(bytes, { limitInputPixels: false }).metadata()
}

/**
 * @throws {HandlerError} INVALID_IMAGE when the image is incomplete or cannot be decoded, DECODE_TIMEOUT when decoding
 * takes too long.
 */
async function readPicture(open: SharpModule, { bytes, format }: InputImage): Promise<Picture> {
  try {
    const { data, info } = await open(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'error', pages: 1 })
      .timeout({ seconds: MAX_DECODE_SECONDS })
      .autoOrient()
      .resize(PICTURE_SIDE, PICTURE_SIDE, { fit: 'inside' })
      .toColourspace('srgb')
      .flatten({ background: '#ffffff' })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    if (info.channels !== 3) throw new Error(`${info.channels} channels`)
    return { pixels: new Uint8Array(data), width: info.width, height: info.height }
  } catch (cause: unknown) {
    if (cause instanceof Error && cause.message.includes('timeout')) {
      const message = `the image was not decoded within ${MAX_DECODE_SECONDS} s, because this node is busy; try again`
      throw capabilityError('DECODE_TIMEOUT', message, { cause })
    }
    throw capabilityError('INVALID_IMAGE', `the ${format} is damaged or incomplete`, { cause })
  }
}

function tooLarge(what: string, limit: string): never {
  throw capabilityError('IMAGE_TOO_LARGE', `the image has ${what}, the limit is ${limit}`)
}
