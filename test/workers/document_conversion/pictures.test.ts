import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPictureReader } from '../../../src/workers/document_conversion/pictures.ts'
import { ask, base64, toPdf } from './conversions.ts'

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)])
}

type Png = {
  width?: number
  height?: number
  bits?: number
  color?: number
  interlace?: number
  pixels?: Buffer
  more?: Buffer[]
}

/** By default one grey pixel. */
function png({
  width = 1,
  height = 1,
  bits = 8,
  color = 0,
  interlace = 0,
  pixels = Buffer.of(0, 0),
  more = [],
}: Png = {}) {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([bits, color, 0, 0, interlace], 8)
  return Buffer.concat([
    Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    ...more,
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** The headers of a JPEG of 2 x 1 pixels, which is all that a PDF needs to know of it. */
function jpeg({ frame = 0xc0, bits = 8, channels = 3, width = 2 } = {}) {
  const app = Buffer.of(0xff, 0xe0, 0, 4, 1, 2)
  const head = Buffer.of(
    0xff,
    frame,
    0,
    17,
    bits,
    0,
    1,
    width >> 8,
    width & 0xff,
    channels,
    ...Array<number>(9).fill(1),
  )
  return Buffer.concat([Buffer.of(0xff, 0xd8), app, head, Buffer.of(0xff, 0xd9)])
}

function read(bytes: Uint8Array, type = 'png') {
  const picture = createPictureReader().read(`data:image/${type};base64,${base64(bytes)}`)
  return picture === undefined ? undefined : { width: picture.width, height: picture.height }
}

const palette = chunk('PLTE', Buffer.of(0, 0, 0))

describe('pictures that are drawn', () => {
  for (const [what, bytes] of Object.entries({
    grey: png(),
    colour: png({ color: 2, pixels: Buffer.alloc(4) }),
    'colours of a palette': png({ color: 3, more: [palette] }),
    'colours of a palette, some transparent': png({ color: 3, more: [palette, chunk('tRNS', Buffer.of(0))] }),
    'grey and transparent': png({ color: 4, pixels: Buffer.alloc(3) }),
    'colour and transparent': png({ color: 6, pixels: Buffer.alloc(5) }),
  })) {
    test(`PNG: ${what}`, async () => {
      expect(read(bytes)).toStrictEqual({ width: 1, height: 1 })
      const pdf = await toPdf(`<img src="data:image/png;base64,${base64(bytes)}">`, 'html')
      expect(pdf.warnings).toStrictEqual([])
      expect(Buffer.from(pdf.converted_data, 'base64').toString('latin1')).toContain('/Subtype /Image')
    })
  }

  test('JPEG', async () => {
    expect(read(jpeg(), 'jpeg')).toStrictEqual({ width: 2, height: 1 })
    const pdf = await toPdf(`<img src="data:image/jpeg;base64,${base64(jpeg())}">`, 'html')
    expect(Buffer.from(pdf.converted_data, 'base64').toString('latin1')).toContain('/DCTDecode')
  })

  test('are in the PDF once, however often they are shown', async () => {
    const image = `<img src="data:image/png;base64,${base64(png())}">`
    const pdf = await toPdf(image.repeat(100), 'html')
    expect(
      Buffer.from(pdf.converted_data, 'base64')
        .toString('latin1')
        .match(/\/Subtype \/Image/g),
    ).toHaveLength(1)
    expect(pdf.warnings).toStrictEqual([])
  })
})

describe('pictures that are not drawn', () => {
  for (const [what, bytes] of Object.entries({
    'of more pixels than the limit': png({ width: 5_000, height: 5_000 }),
    'of no pixels': png({ width: 0 }),
    'that are larger when unpacked than they say': png({ pixels: Buffer.alloc(1_000_000) }),
    'that are smaller than they say': png({ width: 9 }),
    'with a filter that is none': png({ pixels: Buffer.of(9, 0) }),
    'of 16 bits': png({ bits: 16, pixels: Buffer.alloc(3) }),
    interlaced: png({ interlace: 1 }),
    'of a kind that is none': png({ color: 5 }),
    'with a palette that is not there': png({ color: 3 }),
    'with a palette that breaks off': png({ color: 3, more: [chunk('PLTE', Buffer.of(0, 0))] }),
    'with a chunk that is longer than the file': png({ more: [Buffer.from('\uffff\uffffPLTE')] }),
    'with a frame that PDF does not know': jpeg({ frame: 0xc9 }),
    'of 12 bits': jpeg({ bits: 12 }),
    'of two channels': jpeg({ channels: 2 }),
    'of no width': jpeg({ width: 0 }),
    'without anything': Buffer.of(0xff, 0xd8, 0xff, 0xd9),
  })) {
    test(what, () => {
      expect(read(bytes)).toBeUndefined()
    })
  }

  test('of more bytes than the limit', () => {
    const more = [chunk('tEXt', Buffer.alloc(4_200_000))]
    expect(read(png({ more }))).toBeUndefined()
  })

  test('beyond their number', () => {
    const reader = createPictureReader()
    const urls = Array.from({ length: 65 }, (_, at) => png({ pixels: Buffer.of(0, at) }))
    const read = urls.map((bytes) => reader.read(`data:image/png;base64,${base64(bytes)}`))
    expect(read.filter((picture) => picture !== undefined)).toHaveLength(64)
  })
})

test('damaged pictures never break a document', async () => {
  const sound = [png({ color: 6, width: 2, height: 2, pixels: Buffer.alloc(18) }), jpeg()]
  const change = fc.record({ at: fc.nat(80), byte: fc.nat(255) })
  await fc.assert(
    fc.asyncProperty(fc.nat(1), fc.array(change, { maxLength: 5 }), async (which, changes) => {
      const bytes = Buffer.from(sound[which]!)
      for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte
      const html = `<img src="data:image/${which === 0 ? 'png' : 'jpeg'};base64,${base64(bytes)}">`
      expect((await ask('html_to_pdf', { document_data: base64(html) })).status).toBe(200)
    }),
  )
})
