// From the numbers of the two detection models to boxes on the picture.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { surest, toFindings, toPicture, toSquare } from '../../../src/workers/image_classifier/boxes.ts'
import { confirmed, cropOf, MAX_FACES, readFaces } from '../../../src/workers/image_classifier/faces.ts'
import { readObjects } from '../../../src/workers/image_classifier/objects.ts'

const WIDE = { pixels: new Uint8Array(512 * 256 * 3).fill(9), width: 512, height: 256 }
const box = (left: number, top: number, right: number, bottom: number) => ({ left, top, right, bottom })

describe('the square', () => {
  test('has the picture in its middle, and black above and below', () => {
    const square = toSquare(WIDE)
    const quarters = Array.from({ length: 4 }, (_, at) => [
      ...new Set(square.slice(at * 512 * 384, (at + 1) * 512 * 384)),
    ])
    expect(quarters).toStrictEqual([[0], [9], [9], [0]])
  })

  test('gives a box back as shares of the picture, without what lies in the black', () => {
    expect(toPicture(box(0.25, 0, 0.75, 0.5), WIDE)).toStrictEqual({ x: 0.25, y: 0, width: 0.5, height: 0.5 })
    expect(toPicture(box(0, 0, 1, 0.25), WIDE)).toBeUndefined()
  })
})

describe('several boxes on one thing', () => {
  const dog = { label: 'dog', confidence: 0.6, edges: box(0, 0, 10, 10) }
  test('only the surest is kept', () => {
    const again = { ...dog, confidence: 0.8, edges: box(1, 1, 11, 11) }
    expect(surest([dog, again])).toStrictEqual([again])
  })

  test('another label, or another place, is another thing', () => {
    const cat = { ...dog, label: 'cat', confidence: 0.5 }
    const far = { ...dog, confidence: 0.4, edges: box(20, 0, 30, 10) }
    expect(surest([far, dog, cat])).toStrictEqual([dog, cat, far])
  })
})

describe('objects', () => {
  test('are rows of edges, score and class', () => {
    const rows = [0, 128, 256, 512, 0.9, 0, 64, 0, 512, 32, 0.5, 79]
    expect(readObjects(rows)).toStrictEqual([
      { label: 'person', confidence: 0.9, edges: box(0, 0.25, 0.5, 1) },
      { label: 'toothbrush', confidence: 0.5, edges: box(0.125, 0, 1, 0.0625) },
    ])
  })

  test('rows below the least confidence and of no known class are left out', () => {
    expect(
      readObjects([0, 0, 9, 9, 0.29, 0, 0, 0, 9, 9, 0.9, 80, 0, 0, 9, 9, Number.NaN, 1, 0, 0, 9, 9, 0.9, 0.5]),
    ).toStrictEqual([])
  })
})

describe('faces', () => {
  const grid = (candidates: number) => ({
    scores: new Float32Array(candidates).fill(-100),
    boxes: new Float32Array(candidates * 16),
  })

  test('are placed from the middle of their cell, the surest first', () => {
    const [fine, coarse] = [grid(512), grid(384)]
    // Second cell of the second row: (1.5 * 16, 1.5 * 16), and its second candidate.
    fine.scores[(16 + 1) * 2 + 1] = 2
    fine.boxes.set([8, -8, 32, 32], ((16 + 1) * 2 + 1) * 16)
    coarse.scores[383] = 3
    coarse.boxes.set([0, 0, 32, 32], 383 * 16)
    const faces = readFaces([fine, coarse])
    expect(faces.map(({ edges }) => edges)).toStrictEqual([box(0.875, 0.875, 1, 1), box(0.0625, 0, 0.1875, 0.125)])
    expect(faces.map(({ confidence }) => Math.round(confidence * 100))).toStrictEqual([95, 88])
  })

  test('are checked in a square with some margin', () => {
    const [top, left, bottom, right] = cropOf(box(0.4, 0.45, 0.6, 0.55))
    expect([top, left, bottom, right].map((edge) => Math.round(edge * 100))).toStrictEqual([36, 36, 64, 64])
  })

  test('are those that the second look confirms, as sure as both are', () => {
    const candidate = { label: 'face', confidence: 0.8, edges: box(0, 0, 0.1, 0.1) }
    expect(confirmed([candidate, candidate, candidate], [0.5, 0.49, Number.NaN])).toStrictEqual([
      { ...candidate, confidence: 0.4 },
    ])
  })

  test('are never more than the second look is worth', () => {
    const fine = grid(512)
    fine.scores.fill(5)
    fine.scores.forEach((_, index) => fine.boxes.set([0, 0, 4, 4], index * 16))
    expect(readFaces([fine, grid(384)])).toHaveLength(MAX_FACES)
  })

  test('a box without size is not a face', () => {
    const fine = grid(512)
    fine.scores[0] = 9
    expect(readFaces([fine, grid(384)])).toStrictEqual([])
  })
})

test('whatever numbers come, findings lie on the picture', () => {
  const rows = fc.array(fc.oneof(fc.float(), fc.float({ min: -50, max: 600 }), fc.constantFrom(0, 1, Number.NaN)), {
    maxLength: 240,
  })
  const picture = { pixels: new Uint8Array(0), width: 300, height: 512 }
  fc.assert(
    fc.property(rows, (numbers) => {
      for (const { confidence, box: found } of toFindings(readObjects(numbers), picture)) {
        expect(confidence).toBeGreaterThanOrEqual(0.3)
        expect(Math.min(found!.x, found!.y)).toBeGreaterThanOrEqual(0)
        expect(Math.max(found!.x + found!.width, found!.y + found!.height)).toBeLessThanOrEqual(1 + 1e-9)
      }
    }),
  )
})
