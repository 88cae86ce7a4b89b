// Images drawn for the tests, pixel by pixel from formulas; and the person of @vladmandic/human, a rendered figure that the
// package keeps in its sources to warm up its models.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'

type Rgb = readonly [red: number, green: number, blue: number]
type Paint = (x: number, y: number) => Rgb

const WHITE: Rgb = [255, 255, 255]
const INK: Rgb = [20, 20, 30]

export function pixelsOf(width: number, height: number, paint: Paint): Uint8Array {
  const pixels = new Uint8Array(width * height * 3)
  for (let at = 0; at < width * height; at += 1) {
    const [red, green, blue] = paint(at % width, Math.floor(at / width))
    pixels[at * 3] = red
    pixels[at * 3 + 1] = green
    pixels[at * 3 + 2] = blue
  }
  return pixels
}

export function drawn(width: number, height: number, paint: Paint): Sharp {
  return sharp(pixelsOf(width, height, paint), { raw: { width, height, channels: 3 } })
}

/** The same for the same place: sensor noise that a test can repeat. From -1 to 1. */
export function noise(x: number, y: number): number {
  const value = Math.sin(x * 12.9898 + y * 78.233) * 43758.5453
  return (value - Math.floor(value)) * 2 - 1
}

const grained = (paint: Paint, amount: number): Paint => {
  return (x, y) => {
    const [red, green, blue] = paint(x, y)
    const grain = noise(x, y) * amount
    return [inRange(red + grain), inRange(green + grain), inRange(blue + grain)]
  }
}

function inRange(value: number): number {
  return Math.min(255, Math.max(0, value))
}

/** Three rectangles and a circle in plain colours. */
export const graphic: Paint = (x, y) => {
  if ((x - 350) ** 2 + (y - 350) ** 2 < 90 ** 2) return [220, 60, 40]
  if (x > 60 && x < 240 && y > 60 && y < 180) return [30, 90, 200]
  return x > 60 && x < 120 && y > 260 && y < 460 ? [240, 190, 30] : WHITE
}

/** Lines of short words on paper. */
export const text: Paint = (x, y) => {
  const inLine = y % 24 > 6 && y % 24 < 18 && y > 30 && y < 480
  const inWord = x > 40 && x < 470 && Math.floor(x / 9) % 6 !== 5
  return inLine && inWord && x % 9 < 4 && noise(Math.floor(x / 9), Math.floor(y / 24)) > -0.9 ? INK : WHITE
}

/** A dark street with a few lamps. */
export const night: Paint = grained((x, y) => {
  const lamp = (x % 128) - 64 > -4 && (x % 128) - 64 < 4 && y > 150 && y < 158
  return lamp ? [255, 240, 200] : [10, 10, 18]
}, 6)

/** A blue sky over a meadow. */
export const outdoor: Paint = grained((_, y) => (y < 250 ? [90 + y / 5, 150 + y / 6, 235] : [70, 130 - y / 20, 45]), 14)

/** Warm walls and a wooden floor by lamp light. */
export const indoor: Paint = grained((x, y) => (y < 330 ? [205 - x / 8, 170 - x / 8, 120 - x / 9] : [130, 85, 50]), 14)

export async function base64(image: Sharp): Promise<string> {
  return (await image.toBuffer()).toString('base64')
}

/** `body`: a woman from head to feet in front of plain grey, 1200 x 1200; `face`: her face alone, 256 x 256. JPEG. */
export async function personJpeg(which: 'body' | 'face'): Promise<Buffer> {
  const folder = dirname(createRequire(import.meta.url).resolve('@vladmandic/human'))
  const source = await readFile(join(folder, '../src/sample.ts'), 'utf8')
  const [, data] = new RegExp(`export const ${which}(?:: string)? = \`([^\`]+)\``).exec(source)!
  return Buffer.from(data!, 'base64')
}

/** A PNG with any header; `raw` is what is deflated into its only IDAT. */
export function craftPng({ width, height, raw }: { width: number; height: number; raw: Buffer }): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 0, 0, 0, 0], 8)
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
