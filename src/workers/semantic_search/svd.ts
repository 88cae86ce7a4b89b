// The strongest directions of a sparse matrix: exact for a small one, else by randomised subspace iteration (Halko,
// Martinsson, Tropp 2011).
import { eigenOf } from './eigen.ts'
import type { Pause } from './pause.ts'
import { addScaled, dot } from './vector.ts'

export type SparseRow = { readonly columns: Uint32Array; readonly values: Float32Array }
type SparseMatrix = { readonly rows: readonly SparseRow[]; readonly columnCount: number }
/** `basis[column]` has `singular.length` numbers; `singular` is in descending order, without zeros. */
type Directions = { readonly basis: readonly Float64Array[]; readonly singular: readonly number[] }

type Basis = readonly Float64Array[]
type Fit = { readonly matrix: SparseMatrix; readonly width: number; readonly pause: Pause }

const OVERSAMPLING = 8
/** With at most this many rows or columns, the whole space is computed. */
const EXACT_WIDTH = 72
const ITERATIONS = 2
const STEPS_PER_PAUSE = 64
/** Share of a squared length, so 3e-5 of a length. Below it, what a row or column adds is rounding error. */
const NOISE = 1e-9

/** Returns at most `dims` directions. `random`: from 0 to 1, with a fixed seed for reproducible models. */
export async function directionsOf(
  matrix: SparseMatrix,
  { dims, random, pause }: { dims: number; random: () => number; pause: Pause },
): Promise<Directions> {
  const { rows, columnCount } = matrix
  const width = Math.min(Math.max(dims + OVERSAMPLING, EXACT_WIDTH), columnCount, rows.length)
  const fit: Fit = { matrix, width, pause }
  const basis = await spanned(fit, random)
  const gram = zeros(fit.width, fit.width)
  await eachImage(fit, basis, (image) => addSquare(gram, image))
  const { values, vectors } = eigenOf(gram)
  const kept = values.slice(0, dims).filter((value) => value > NOISE * (values[0] ?? 0))
  return { basis: await turned(fit, basis, vectors.slice(0, kept.length)), singular: kept.map(Math.sqrt) }
}

/** A basis of the whole row space if the rows are few or short; else of the part with most of their length. */
async function spanned(fit: Fit, random: () => number): Promise<Basis> {
  const { matrix, width } = fit
  const { rows, columnCount } = matrix
  const basis = zeros(columnCount, width)
  if (rows.length === width) {
    for (const [at, row] of rows.entries()) addOuter(basis, new Float64Array(width).with(at, 1), row)
    return await orthonormal(fit, basis)
  }
  if (columnCount === width) return basis.map((row, at) => row.with(at, 1))
  let found: Basis = basis.map((row) => row.map(() => random() - 0.5))
  for (let iteration = 0; iteration < ITERATIONS; iteration += 1) {
    const next = zeros(columnCount, width)
    await eachImage(fit, found, (image, row) => addOuter(next, image, row))
    found = await orthonormal(fit, next)
  }
  return found
}

/** Each row times the basis. `image` is the same array every time. */
async function eachImage(
  { matrix, width, pause }: Fit,
  basis: Basis,
  use: (image: Float64Array, row: SparseRow) => void,
): Promise<void> {
  const image = new Float64Array(width)
  for (const [at, row] of matrix.rows.entries()) {
    if (at % STEPS_PER_PAUSE === 0) await pause()
    image.fill(0)
    row.columns.forEach((column, index) => addScaled(image, basis[column] ?? image, row.values[index] ?? 0))
    use(image, row)
  }
}

function addOuter(sum: Basis, image: Float64Array, { columns, values }: SparseRow): void {
  columns.forEach((column, index) => addScaled(sum[column] ?? image, image, values[index] ?? 0))
}

function addSquare(gram: Basis, image: Float64Array): void {
  image.forEach((value, at) => addScaled(gram[at] ?? image, image, value))
}

/** The same space with orthonormal columns, by Cholesky of the Gram matrix; redundant columns become 0. */
async function orthonormal({ width, pause }: Fit, basis: Basis): Promise<Basis> {
  const gram = zeros(width, width)
  for (const [at, row] of basis.entries()) {
    if (at % STEPS_PER_PAUSE === 0) await pause()
    addSquare(gram, row)
  }
  const lower = cholesky(gram)
  for (const [at, row] of basis.entries()) {
    if (at % STEPS_PER_PAUSE === 0) await pause()
    solveInPlace(lower, row)
  }
  return basis
}

function cholesky(gram: Basis): Basis {
  const lower = zeros(gram.length, gram.length)
  for (const [at, row] of gram.entries()) {
    const own = lower[at] ?? row
    for (let other = 0; other <= at; other += 1) {
      const before = lower[other] ?? own
      const rest = (row[other] ?? 0) - dot(own.subarray(0, other), before.subarray(0, other))
      if (other < at) own[other] = (before[other] ?? 0) > 0 ? rest / (before[other] ?? 1) : 0
      else own[at] = rest > NOISE * (row[at] ?? 0) ? Math.sqrt(rest) : 0
    }
  }
  return lower
}

/** row := row times the inverse of lower's transpose. */
function solveInPlace(lower: Basis, row: Float64Array): void {
  for (const [at, own] of lower.entries()) {
    const pivot = own[at] ?? 0
    const rest = (row[at] ?? 0) - dot(own.subarray(0, at), row.subarray(0, at))
    row[at] = pivot > 0 ? rest / pivot : 0
  }
}

async function turned({ pause }: Fit, basis: Basis, vectors: readonly Float64Array[]): Promise<Basis> {
  const result: Float64Array[] = []
  for (const [at, row] of basis.entries()) {
    if (at % STEPS_PER_PAUSE === 0) await pause()
    result.push(Float64Array.from(vectors, (vector) => dot(vector, row)))
  }
  return result
}

function zeros(rows: number, width: number): Float64Array[] {
  return Array.from({ length: rows }, () => new Float64Array(width))
}
