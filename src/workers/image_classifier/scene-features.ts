// Pixel statistics of a picture, for the rules in scenes.ts. Every number is a share from 0 to 1 unless stated
// otherwise.
import type { Picture } from './picture.ts'

export type SceneFeatures = {
  readonly meanLuma: number
  /** Nearly black pixels, and nearly white pixels. */
  readonly dark: number
  readonly bright: number
  /**
   * Neighbouring pixels of exactly the same colour, in rows or columns, whichever are more: drawn, not photographed.
   */
  readonly flat: number
  /** Pixels in the eight most frequent of 4096 colours. */
  readonly palette: number
  /** Sky colours in the upper third; leaves and grass anywhere. */
  readonly sky: number
  readonly green: number
  /** Pixels between yellow and red, neither dark nor grey: lamp light, wood, skin. */
  readonly warm: number
  /** Rows with many short runs of ink on one background. */
  readonly inkRows: number
  /** Number of times such rows begin after empty ones: lines of text. */
  readonly lines: number
}

const MAX = 255
const DARK = 40
const BRIGHT = 225
const COLOURS = 4096
const PALETTE = 8

export function featuresOf(picture: Picture): SceneFeatures {
  const { width, height } = picture
  const count = width * height
  const seen = { luma: 0, dark: 0, bright: 0, sky: 0, green: 0, warm: 0 }
  const colours = new Uint32Array(COLOURS)
  const lumas = new Uint8Array(count)
  const skyPixels = Math.max(1, Math.ceil(height / 3)) * width
  for (let index = 0; index < count; index += 1) {
    const [red, green, blue] = colourAt(picture, index)
    const luma = Math.round(0.299 * red + 0.587 * green + 0.114 * blue)
    lumas[index] = luma
    const colour = ((red >> 4) << 8) | ((green >> 4) << 4) | (blue >> 4)
    colours[colour] = (colours[colour] ?? 0) + 1
    seen.luma += luma
    if (luma < DARK) seen.dark += 1
    if (luma > BRIGHT) seen.bright += 1
    if (index < skyPixels && luma > 80 && isSky(red, green, blue)) seen.sky += 1
    if (luma > 25 && green > red * 1.04 && green > blue * 1.15) seen.green += 1
    if (luma > DARK && red > green && green >= blue && red - blue > 30) seen.warm += 1
  }
  const commonest = colours.toSorted().subarray(-PALETTE)
  return {
    meanLuma: seen.luma / count / MAX,
    dark: seen.dark / count,
    bright: seen.bright / count,
    flat: flatOf(picture),
    palette: commonest.reduce((sum, pixels) => sum + pixels, 0) / count,
    sky: seen.sky / skyPixels,
    green: seen.green / count,
    warm: seen.warm / count,
    ...linesOf(lumas, picture),
  }
}

// Blue, or the near-white of clouds with a little blue in it.
function isSky(red: number, green: number, blue: number): boolean {
  return blue > green * 1.04 && green >= red * 0.95 && blue - red > 14
}

function flatOf({ pixels, width, height }: Picture): number {
  const same = { along: 0, down: 0 }
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3
      if (x > 0 && isSame(pixels, at, at - 3)) same.along += 1
      if (y > 0 && isSame(pixels, at, at - width * 3)) same.down += 1
    }
  }
  return Math.max(same.along / Math.max(1, (width - 1) * height), same.down / Math.max(1, width * (height - 1)))
}

function isSame(pixels: Uint8Array, a: number, b: number): boolean {
  return pixels[a] === pixels[b] && pixels[a + 1] === pixels[b + 1] && pixels[a + 2] === pixels[b + 2]
}

function colourAt({ pixels }: Picture, index: number): [red: number, green: number, blue: number] {
  return [pixels[index * 3] ?? 0, pixels[index * 3 + 1] ?? 0, pixels[index * 3 + 2] ?? 0]
}

/** A row of writing has at least this many strokes; a row with more than half ink is not writing. */
const MIN_STROKES = 6
const MAX_INK = 0.5
/** Contrast of ink to its background, of 255. */
const INK_CONTRAST = 60

function linesOf(lumas: Uint8Array, { width, height }: Picture): Pick<SceneFeatures, 'inkRows' | 'lines'> {
  const ground = groundOf(lumas)
  let inkRows = 0
  let lines = 0
  let sinceEmpty = true
  for (let y = 0; y < height; y += 1) {
    const { ink, strokes } = strokesOf(lumas.subarray(y * width, (y + 1) * width), ground)
    if (ink === 0) sinceEmpty = true
    if (strokes < MIN_STROKES || ink > width * MAX_INK) continue
    inkRows += 1
    if (sinceEmpty) lines += 1
    sinceEmpty = false
  }
  return { inkRows: inkRows / height, lines }
}

function strokesOf(row: Uint8Array, ground: number): { ink: number; strokes: number } {
  let ink = 0
  let strokes = 0
  let inside = false
  for (const luma of row) {
    const isInk = Math.abs(luma - ground) > INK_CONTRAST
    if (isInk) ink += 1
    if (isInk && !inside) strokes += 1
    inside = isInk
  }
  return { ink, strokes }
}

// The most frequent luma, in steps of 16.
function groundOf(lumas: Uint8Array): number {
  const steps = new Uint32Array(16)
  for (const luma of lumas) steps[luma >> 4] = (steps[luma >> 4] ?? 0) + 1
  return steps.indexOf(Math.max(...steps)) * 16 + 8
}
