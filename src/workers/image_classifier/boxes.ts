// Boxes of detections: converts them from the models' square to the picture, and keeps the most certain one per thing.
import { PICTURE_SIDE, type Box, type Finding, type Picture } from './picture.ts'

/** Fractions of the square that the models see, from 0 to 1, or slightly beyond. */
export type Edges = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number }
export type Detection = { readonly label: string; readonly confidence: number; readonly edges: Edges }

/** Two boxes whose overlap exceeds this share of their union are the same thing. */
const SAME_THING = 0.45

/**
 * Centres the picture in a black square of PICTURE_SIDE without changing its proportions: the models accept only this
 * form, and do not detect stretched faces.
 */
export function toSquare(picture: Picture): Float32Array {
  const { pixels, width, height } = picture
  const square = new Float32Array(PICTURE_SIDE * PICTURE_SIDE * 3)
  const { x, y } = offsetOf(picture)
  for (let row = 0; row < height; row += 1) {
    square.set(pixels.subarray(row * width * 3, (row + 1) * width * 3), ((y + row) * PICTURE_SIDE + x) * 3)
  }
  return square
}

/** Converts edges on that square to fractions of the picture; undefined inside the black border. */
export function toPicture(edges: Edges, picture: Picture): Box | undefined {
  const { width, height } = picture
  const offset = offsetOf(picture)
  const x = share(edges.left * PICTURE_SIDE - offset.x, width)
  const y = share(edges.top * PICTURE_SIDE - offset.y, height)
  const right = share(edges.right * PICTURE_SIDE - offset.x, width)
  const bottom = share(edges.bottom * PICTURE_SIDE - offset.y, height)
  return right > x && bottom > y ? { x, y, width: right - x, height: bottom - y } : undefined
}

/** Keeps the most certain detection of each thing, by label; sorted by confidence. */
export function surest(detections: readonly Detection[]): Detection[] {
  const sorted = detections.toSorted((a, b) => b.confidence - a.confidence)
  const kept: Detection[] = []
  for (const next of sorted) {
    const known = kept.some(({ label, edges }) => label === next.label && overlap(edges, next.edges) > SAME_THING)
    if (!known) kept.push(next)
  }
  return kept
}

export function toFindings(detections: readonly Detection[], picture: Picture): Finding[] {
  return surest(detections).flatMap(({ label, confidence, edges }) => {
    const box = toPicture(edges, picture)
    return box === undefined ? [] : [{ label, confidence, box }]
  })
}

/** Intersection over union, from 0 to 1. */
function overlap(a: Edges, b: Edges): number {
  const shared =
    Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top))
  return shared === 0 ? 0 : shared / (areaOf(a) + areaOf(b) - shared)
}

function areaOf({ left, top, right, bottom }: Edges): number {
  return (right - left) * (bottom - top)
}

function offsetOf({ width, height }: Picture): { x: number; y: number } {
  return { x: Math.floor((PICTURE_SIDE - width) / 2), y: Math.floor((PICTURE_SIDE - height) / 2) }
}

function share(position: number, length: number): number {
  return Math.min(1, Math.max(0, position / length))
}
