// The decoder on its own: four formats, every kind of pixel, limits before pixels, and nothing but declared errors.
import fc from 'fast-check'
import sharp, { type Sharp } from 'sharp'
import { describe, expect, test } from 'vitest'
import { HandlerError } from '../../../src/worker/call-error.ts'
import { createDecode, MAX_PIXELS, MAX_SIDE, type SharpModule } from '../../../src/workers/image_classifier/decode.ts'
import {
  MAX_BASE64_LENGTH,
  MAX_IMAGE_BYTES,
  parseInputImage,
} from '../../../src/workers/image_classifier/input-image.ts'
import { errors } from '../../../src/workers/image_classifier/schemas.ts'
import { craftPng, drawn, graphic, noise, outdoor, personJpeg } from './drawn.ts'

const decode = createDecode()
const decodeBytes = async (bytes: Buffer) => decode(parseInputImage(bytes.toString('base64')))
const decodeImage = async (image: Sharp) => decodeBytes(await image.toBuffer())
const quadrants = (x: number, y: number) => [y < 20 ? 200 : 20, x < 30 ? 180 : 40, 90] as const

function colourAt({ picture }: Awaited<ReturnType<typeof decodeBytes>>, x: number, y: number): number[] {
  const at = (Math.floor(y * picture.height) * picture.width + Math.floor(x * picture.width)) * 3
  return [...picture.pixels.subarray(at, at + 3)]
}

describe('decoding', () => {
  const encoded: [string, (image: Sharp) => Sharp][] = [
    ['png', (image) => image.png()],
    ['jpeg', (image) => image.jpeg()],
    ['webp', (image) => image.webp()],
    ['gif', (image) => image.gif()],
  ]
  for (const [format, encode] of encoded) {
    test(`takes ${format}, and fits it into a square of 512`, async () => {
      const decoded = await decodeImage(encode(drawn(600, 400, graphic)))
      expect(decoded.source).toStrictEqual({ format, width: 600, height: 400, frames: 1 })
      expect(decoded.picture).toMatchObject({ width: 512, height: 341 })
      expect(decoded.picture.pixels).toHaveLength(512 * 341 * 3)
    })
  }

  const unusual: [string, (image: Sharp) => Sharp][] = [
    ['a CMYK JPEG', (image) => image.toColourspace('cmyk').jpeg()],
    ['a grey JPEG', (image) => image.greyscale().jpeg()],
    ['a grey PNG with transparency', (image) => image.greyscale().ensureAlpha(0.5).png()],
    ['a PNG of 16 bits', (image) => image.toColourspace('rgb16').png()],
    ['a PNG with a palette', (image) => image.png({ palette: true })],
    ['an interlaced PNG', (image) => image.png({ progressive: true })],
    ['a progressive JPEG', (image) => image.jpeg({ progressive: true })],
    ['one pixel', (image) => image.resize(1, 1).png()],
    ['a line', (image) => image.resize(5000, 1, { fit: 'fill' }).png()],
  ]
  for (const [what, encode] of unusual) {
    test(`makes three bytes for each pixel of ${what}`, async () => {
      const { picture } = await decodeImage(encode(drawn(60, 40, outdoor)))
      expect(picture.pixels).toHaveLength(picture.width * picture.height * 3)
      expect(Math.max(picture.width, picture.height)).toBe(512)
      expect(Math.min(picture.width, picture.height)).toBeGreaterThan(0)
    })
  }

  test('sees the colours of a CMYK JPEG as a viewer does', async () => {
    const decoded = await decodeImage(
      drawn(60, 40, () => [200, 40, 40])
        .toColourspace('cmyk')
        .jpeg(),
    )
    const [red = 0, green = 0, blue = 0] = colourAt(decoded, 0.5, 0.5)
    expect(red).toBeGreaterThan(150)
    expect(Math.max(green, blue)).toBeLessThan(110)
  })

  test('puts what is transparent on white', async () => {
    const clear = sharp({ create: { width: 40, height: 40, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } })
    expect(colourAt(await decodeImage(clear.png()), 0.5, 0.5)).toStrictEqual([255, 255, 255])
  })

  test('turns an image upright, as its EXIF orientation says', async () => {
    const upright = drawn(60, 40, quadrants)
    const lying = await decodeImage(upright.clone().withMetadata({ orientation: 6 }).png())
    expect(lying.source).toMatchObject({ width: 40, height: 60 })
    // Orientation 6: what is stored at the left lower corner is shown at the left upper one.
    const shown = colourAt(lying, 0.1, 0.1)
    expect(shown).toStrictEqual(colourAt(await decodeImage(upright.png()), 0.1, 0.9))
  })

  test('sees the first frame of an animation, and says how many there are', async () => {
    const frames = Buffer.concat([Buffer.alloc(32 * 32 * 3, 250), Buffer.alloc(32 * 32 * 3, 5)])
    const raw = { width: 32, height: 64, channels: 3, pageHeight: 32 } as const
    for (const animation of [
      sharp(frames, { raw }).gif({ delay: [50, 50] }),
      sharp(frames, { raw }).webp({ lossless: true }),
    ]) {
      const decoded = await decodeImage(animation)
      expect(decoded.source).toMatchObject({ width: 32, height: 32, frames: 2 })
      expect(colourAt(decoded, 0.5, 0.5)[0]).toBeGreaterThan(240)
    }
  })

  test('gives the same pixels for the same image', async () => {
    const bytes = await personJpeg('body')
    expect((await decodeBytes(bytes)).picture).toStrictEqual((await decodeBytes(bytes)).picture)
  })
})

describe('limits', () => {
  test('refuses a bomb by its header: a few bytes that unpack to 900 million pixels', async () => {
    const bomb = craftPng({ width: 30_000, height: 30_000, raw: Buffer.alloc(1000) })
    expect(bomb.length).toBeLessThan(200)
    await expect(decodeBytes(bomb)).rejects.toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      message: `the image has a side of 30000 pixels, the limit is ${MAX_SIDE}`,
    })
  })

  test('refuses too many pixels where each side may be', async () => {
    const bomb = craftPng({ width: 10_000, height: 10_000, raw: Buffer.alloc(1000) })
    await expect(decodeBytes(bomb)).rejects.toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      message: `the image has 10000 x 10000 pixels, the limit is ${MAX_PIXELS} in all`,
    })
  })

  test('unpacks what is just within the limit, though a thousand times its size', async () => {
    const [width, height] = [5000, 8000]
    const png = craftPng({ width, height, raw: Buffer.alloc((width + 1) * height) })
    expect(png.length * 500).toBeLessThan(MAX_PIXELS)
    expect((await decodeBytes(png)).source).toMatchObject({ width, height })
  })

  test('the longest base64 is that of the most bytes', () => {
    expect(Buffer.alloc(MAX_IMAGE_BYTES).toString('base64')).toHaveLength(MAX_BASE64_LENGTH)
  })
})

describe('what is not an image', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd" width="9" height="9"/></svg>'
  const others: [string, Buffer][] = [
    ['SVG', Buffer.from(svg)],
    ['SVG after an XML declaration', Buffer.from(`<?xml version="1.0"?>${svg}`)],
    ['PDF', Buffer.from('%PDF-1.7\n')],
    ['TIFF', Buffer.from('II*\0\0\0\0\0', 'latin1')],
    ['HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0', 'latin1')],
    ['AVIF', Buffer.from('\0\0\0\x1cftypavif\0\0\0\0', 'latin1')],
    ['an empty file', Buffer.alloc(0)],
    ['text', Buffer.from('not an image')],
  ]
  for (const [what, bytes] of others) {
    test(`${what} reaches no decoder`, () => {
      expect(() => parseInputImage(bytes.toString('base64'))).toThrow('the image is not one of png, jpeg, webp, gif')
    })
  }

  const notBase64 = ['data:image/png;base64,iVBORw0KGgo=', 'iVBO\nRw0KGgo=', 'iVBORw0K*Go=', 'iVBORw0KGg===', '====']
  for (const text of notBase64) {
    test(`${JSON.stringify(text)} is not base64`, () => {
      expect(() => parseInputImage(text)).toThrow('image_data is not base64')
    })
  }

  test('SVG behind the first bytes of another format is not read as SVG', async () => {
    for (const magic of ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff', 'GIF89a', 'RIFF\0\0\0\0WEBP']) {
      const bytes = Buffer.concat([Buffer.from(magic, 'latin1'), Buffer.from(svg)])
      await expect(decodeBytes(bytes)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    }
  })

  test('the decoder itself knows no other formats', async () => {
    for (const [what, bytes] of others) {
      await expect(decode({ bytes, format: 'png' }), what).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    }
    for (const image of [drawn(32, 32, graphic).tiff(), drawn(32, 32, graphic).avif({ effort: 0 })]) {
      const other = { bytes: await image.toBuffer(), format: 'png' } as const
      await expect(decode(other)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    }
  })

  for (const format of ['png', 'jpeg', 'webp', 'gif'] as const) {
    test(`a ${format} that breaks off is refused, wherever it does`, async () => {
      const bytes = await noisy(format)
      for (const part of [0.05, 0.3, 0.6, 0.9]) {
        const broken = bytes.subarray(0, Math.floor(bytes.length * part))
        await expect(decodeBytes(broken), `${part}`).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
      }
    })
  }
})

describe('any bytes', () => {
  const magics = ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff', 'GIF89a', 'RIFF\x40\0\0\0WEBPVP8 ', '']
  const outcome = (bytes: Buffer) =>
    decodeBytes(bytes).then(
      ({ picture }) => picture.pixels.length === picture.width * picture.height * 3,
      (error: unknown) => error instanceof HandlerError && ['INVALID_IMAGE', 'IMAGE_TOO_LARGE'].includes(error.code),
    )

  test('are decoded or refused, with any beginning', async () => {
    const bytes = fc.tuple(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 400 }))
    await fc.assert(
      fc.asyncProperty(bytes, async ([magic, rest]) => {
        expect(await outcome(Buffer.concat([Buffer.from(magic, 'latin1'), rest]))).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  test('are decoded or refused when an image is damaged anywhere', async () => {
    const images = await Promise.all((['png', 'jpeg', 'webp', 'gif'] as const).map(noisy))
    const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(255)), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...images), damage, async (image, places) => {
        const damaged = Buffer.from(image)
        for (const [place, value] of places) damaged[Math.floor(place * damaged.length)] = value
        expect(await outcome(damaged)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

function noisy(format: 'png' | 'jpeg' | 'webp' | 'gif'): Promise<Buffer> {
  const image = drawn(64, 48, (x, y) => [128 + noise(x, y) * 120, 100, 128 + noise(y, x) * 90])
  return image.toFormat(format).toBuffer()
}

test('an image that is not decoded in time is the fault of a busy node, and may be tried again', async () => {
  // What libvips says when its time limit is over, as sharp passes it on.
  const late: SharpModule = (bytes, options) =>
    Object.assign(sharp(bytes, options), { toBuffer: () => Promise.reject(new Error('timeout: 42% complete')) })
  const bytes = await drawn(60, 40, graphic).png().toBuffer()
  const error: unknown = await createDecode(() => Promise.resolve(late))(
    parseInputImage(bytes.toString('base64')),
  ).catch((cause: unknown) => cause)
  expect(error).toMatchObject({
    code: 'DECODE_TIMEOUT',
    message: 'the image was not decoded within 15 s, because this node is busy; try again',
  })
  expect(errors.DECODE_TIMEOUT).toMatchObject({ retryable: true, status: 503 })
})
