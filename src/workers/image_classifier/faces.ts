// Reads the boxes from BlazeFace's output, and prepares the second model, which rejects boxes that are no faces, such
// as a red disc. Finds where faces are and how many, never whose they are.
import { surest, type Detection, type Edges } from './boxes.ts'

/** Side of the square that the first model sees, in pixels. */
export const FACES_SIDE = 256
/** Cells of the model's two grids, and candidates per cell. */
const GRIDS = [
  { cells: 16, candidates: 2 },
  { cells: 8, candidates: 6 },
] as const
/** Numbers per candidate: centre x, centre y (from the middle of its cell), width, height; then keypoints. */
const ROW = 16
/** Low: the second model rejects what is not a face, but each candidate costs another run. */
const LEAST_CONFIDENCE = 0.35
export const MAX_FACES = 32
/** The second model needs some hair and neck around a face. */
const MARGIN = 1.4
const LEAST_PRESENCE = 0.5

/** The two grids' outputs: `scores` before the sigmoid, `boxes` in pixels of a square of FACES_SIDE. */
export type FaceGrid = { readonly scores: ArrayLike<number>; readonly boxes: ArrayLike<number> }

/** `grids`: the fine one (512 candidates), then the coarse one (384). At most MAX_FACES, most certain first. */
export function readFaces(grids: readonly [FaceGrid, FaceGrid]): Detection[] {
  const candidates = grids.flatMap((grid, index) => readGrid(grid, GRIDS[index] ?? GRIDS[0]))
  return surest(candidates).slice(0, MAX_FACES)
}

/**
 * The square around a face for the second model, as fractions of the first model's square: top, left, bottom, right.
 */
export function cropOf({ left, top, right, bottom }: Edges): [number, number, number, number] {
  const half = (Math.max(right - left, bottom - top) * MARGIN) / 2
  const [x, y] = [(left + right) / 2, (top + bottom) / 2]
  return [y - half, x - half, y + half, x + half]
}

/** `presence`: the second model's score per candidate, from 0 to 1. Both models must be fairly certain. */
export function confirmed(candidates: readonly Detection[], presence: ArrayLike<number>): Detection[] {
  return candidates.flatMap((candidate, index) => {
    const sureness = presence[index] ?? 0
    return sureness >= LEAST_PRESENCE ? [{ ...candidate, confidence: candidate.confidence * sureness }] : []
  })
}

function readGrid({ scores, boxes }: FaceGrid, { cells, candidates }: (typeof GRIDS)[number]): Detection[] {
  const cell = FACES_SIDE / cells
  return Array.from({ length: cells * cells * candidates }, (_, index) => {
    const at = (column: number): number => boxes[index * ROW + column] ?? Number.NaN
    const place = Math.floor(index / candidates)
    const x = ((place % cells) + 0.5) * cell + at(0)
    const y = (Math.floor(place / cells) + 0.5) * cell + at(1)
    const [halfWidth, halfHeight] = [at(2) / 2, at(3) / 2]
    const edges = {
      left: (x - halfWidth) / FACES_SIDE,
      top: (y - halfHeight) / FACES_SIDE,
      right: (x + halfWidth) / FACES_SIDE,
      bottom: (y + halfHeight) / FACES_SIDE,
    }
    return { label: 'face', confidence: sigmoid(scores[index] ?? Number.NaN), edges }
  }).filter(({ confidence, edges }) => confidence >= LEAST_CONFIDENCE && edges.right > edges.left)
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value))
}
