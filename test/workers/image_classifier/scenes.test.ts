// The rules of thumb for scenes, on pictures that are drawn to be clear cases.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SCENES, scenesOf } from '../../../src/workers/image_classifier/scenes.ts'
import { featuresOf } from '../../../src/workers/image_classifier/scene-features.ts'
import { graphic, indoor, night, noise, outdoor, pixelsOf, text } from './drawn.ts'

const SIDE = 512
type Paint = Parameters<typeof pixelsOf>[2]
const picture = (paint: Paint, width = SIDE, height = SIDE) => ({
  pixels: pixelsOf(width, height, paint),
  width,
  height,
})
const labelsOf = (paint: Paint) => scenesOf(picture(paint)).map(({ label }) => label)
const MOST_CONFIDENCE = 0.9

describe('scenes', () => {
  for (const [label, paint] of Object.entries({ graphic, text, night, outdoor, indoor })) {
    test(`${label} comes first for a picture drawn as such`, () => {
      const [first] = scenesOf(picture(paint))
      expect(first!.label).toBe(label)
      expect(first!.confidence).toBeLessThanOrEqual(MOST_CONFIDENCE)
    })
  }

  test('light writing on a dark ground is text, not night', () => {
    const inverted: Paint = (x, y) => text(x, y).map((value) => 255 - value) as unknown as ReturnType<Paint>
    const labels = labelsOf(inverted)
    expect(labels[0]).toBe('text')
    expect(labels).not.toContain('night')
  })

  test('grey grain is nothing that it knows', () => {
    const grain: Paint = (x, y) => {
      const grey = 128 + noise(x, y) * 90
      return [grey, grey, grey]
    }
    expect(scenesOf(picture(grain))).toStrictEqual([{ label: 'unknown', confidence: 1 }])
  })

  test('any picture has one label at least, known ones only, the surest first', () => {
    const pictures = fc
      .tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }))
      .chain(([width, height]) =>
        fc.record({
          pixels: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
          width: fc.constant(width),
          height: fc.constant(height),
        }),
      )
    fc.assert(
      fc.property(pictures, (any) => {
        const found = scenesOf(any)
        expect(found.length).toBeGreaterThan(0)
        for (const { label, confidence } of found) {
          expect(SCENES).toContain(label)
          expect(confidence).toBeGreaterThanOrEqual(0)
          expect(confidence).toBeLessThanOrEqual(1)
        }
        expect(found.map(({ confidence }) => confidence)).toStrictEqual(
          found.map(({ confidence }) => confidence).toSorted((a, b) => b - a),
        )
        for (const share of Object.entries(featuresOf(any)).filter(([name]) => name !== 'lines')) {
          expect(share[1], share[0]).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})
