// The arithmetic below the vectors, against slower ways to the same numbers.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eigenOf } from '../../../src/workers/semantic_search/eigen.ts'
import { fuse } from '../../../src/workers/semantic_search/fuse.ts'
import { directionsOf } from '../../../src/workers/semantic_search/svd.ts'
import { dot } from '../../../src/workers/semantic_search/vector.ts'

const noPause = () => Promise.resolve()
/** Numbers from 0 to 1 that look like chance and are the same each time. */
function chance(seed = 1): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}

const matrix = fc.integer({ min: 1, max: 8 }).chain((size) =>
  fc.array(fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: size, maxLength: size }), {
    minLength: 1,
    maxLength: 8,
  }),
)

describe('the directions of a matrix', () => {
  test('of a small one are its singular vectors: at right angles, and they give it back', async () => {
    await fc.assert(
      fc.asyncProperty(matrix, async (rows) => {
        const { basis, singular } = await directionsOf(sparse(rows), { dims: 64, random: chance(), pause: noPause })
        const scale = Math.max(1, singular[0] ?? 0)
        for (const row of rows) {
          const image = singular.map((_value, d) =>
            row.reduce((sum, value, column) => sum + value * basis[column]![d]!, 0),
          )
          const back = row.map((_value, column) => dot(Float64Array.from(image), basis[column]!))
          // What is below the noise limit is left out: 1e-9 of a square, 3e-5 of a value.
          for (const [column, value] of row.entries())
            expect(Math.abs(value - back[column]!)).toBeLessThan(1e-4 * scale)
        }
        for (const [a] of singular.entries()) {
          for (const [b] of singular.entries()) {
            const product = basis.reduce((sum, row) => sum + row[a]! * row[b]!, 0)
            expect(product).toBeCloseTo(a === b ? 1 : 0, 3)
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  test('of a large one of low rank are found exactly, and no more than there are', async () => {
    const random = chance(7)
    const parts = Array.from({ length: 5 }, () => Array.from({ length: 120 }, () => random() - 0.5))
    const rows = Array.from({ length: 200 }, () => {
      const weights = parts.map(() => random() - 0.5)
      return parts[0]!.map((_value, column) =>
        weights.reduce((sum, weight, at) => sum + weight * parts[at]![column]!, 0),
      )
    })
    const { singular } = await directionsOf(sparse(rows), { dims: 64, random: chance(), pause: noPause })
    const squares = rows.flat().reduce((sum, value) => sum + value * value, 0)
    expect(singular).toHaveLength(5)
    expect(singular.reduce((sum, value) => sum + value * value, 0) / squares).toBeCloseTo(1, 4)
  })

  test('are given up when nobody wants them any more', async () => {
    const gone = () => Promise.reject(new Error('gone'))
    await expect(directionsOf(sparse([[1, 2]]), { dims: 2, random: chance(), pause: gone })).rejects.toThrow('gone')
  })
})

test('eigenvectors are what the matrix only stretches, by falling values', () => {
  fc.assert(
    fc.property(matrix, (rows) => {
      const symmetric = rows.map((row) =>
        Float64Array.from(rows, (other) => dot(Float64Array.from(row), Float64Array.from(other))),
      )
      const { values, vectors } = eigenOf(symmetric)
      const scale = Math.max(1, values[0] ?? 0)
      for (const [at, vector] of vectors.entries()) {
        expect(dot(vector, vector)).toBeCloseTo(1, 8)
        for (const [row, own] of symmetric.entries()) {
          expect(Math.abs(dot(own, vector) - values[at]! * vector[row]!)).toBeLessThan(1e-8 * scale)
        }
      }
      expect(values).toStrictEqual([...values].sort((a, b) => b - a))
    }),
  )
})

describe('two rankings in one', () => {
  test('what both have goes first, what is first in both scores 1, and shares add up', () => {
    const fused = fuse([1, 2, 3], [1, 3, 4])
    expect(fused.map(({ document }) => document)).toStrictEqual([1, 3, 2, 4])
    expect(fused[0]).toMatchObject({ score: 1, secondShare: expect.closeTo(1 / 3), firstRank: 1, secondRank: 1 })
    expect(fused[2]).toMatchObject({ secondShare: 0, firstRank: 2, secondRank: undefined })
    expect(fused[3]).toMatchObject({ secondShare: 1, secondRank: 3 })
  })

  test('of equal scores the one with the words goes first', () => {
    expect(fuse([9], [2]).map(({ document }) => document)).toStrictEqual([9, 2])
  })

  test('keeps every document once, in falling order, between 0 and 1', () => {
    const ranking = fc.uniqueArray(fc.nat(30), { maxLength: 20 })
    fc.assert(
      fc.property(ranking, ranking, (first, second) => {
        const fused = fuse(first, second)
        expect(fused.map(({ document }) => document).sort()).toStrictEqual([...new Set([...first, ...second])].sort())
        const scores = fused.map(({ score }) => score)
        expect(scores).toStrictEqual([...scores].sort((a, b) => b - a))
        expect(scores.every((score) => score > 0 && score <= 1)).toBe(true)
      }),
    )
  })
})

function sparse(rows: readonly (readonly number[])[]) {
  return {
    columnCount: rows[0]!.length,
    rows: rows.map((row) => {
      const columns = row.flatMap((value, column) => (value === 0 ? [] : [column]))
      // Float64 where the store has Float32: the numbers of this test are exact.
      return { columns: Uint32Array.from(columns), values: Float32Array.from(columns, (column) => row[column]!) }
    }),
  }
}
