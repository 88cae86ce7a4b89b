// Eigenvalues and eigenvectors of a small symmetric matrix by Jacobi rotations: exact and short, but slow for large
// ones.

/** `vectors[i]` belongs to `values[i]` and has length 1. */
type Eigen = { readonly values: readonly number[]; readonly vectors: readonly Float64Array[] }

const MAX_SWEEPS = 30
const TOLERANCE = 1e-22

/** `symmetric`: the rows of the matrix. The result is in descending order. */
export function eigenOf(symmetric: readonly Float64Array[]): Eigen {
  const size = symmetric.length
  const matrix = symmetric.map((row) => Float64Array.from(row))
  const turned = matrix.map((_row, at) => unit(size, at))
  const total = matrix.reduce((sum, row) => sum + row.reduce((part, value) => part + value * value, 0), 0)
  for (let sweep = 0; sweep < MAX_SWEEPS && offDiagonal(matrix) > TOLERANCE * total; sweep += 1) {
    for (let p = 0; p < size; p += 1) for (let q = p + 1; q < size; q += 1) rotate(matrix, turned, p, q)
  }
  const values = matrix.map((row, at) => row[at] ?? 0)
  const order = values.map((_value, at) => at).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0))
  return { values: order.map((at) => values[at] ?? 0), vectors: order.map((at) => turned[at] ?? unit(size, at)) }
}

/** One rotation that makes matrix[p][q] zero. Golub and Van Loan, Matrix Computations, 8.5. */
function rotate(matrix: readonly Float64Array[], turned: readonly Float64Array[], p: number, q: number): void {
  const rowP = matrix[p]
  const rowQ = matrix[q]
  const off = rowP?.[q] ?? 0
  if (rowP === undefined || rowQ === undefined || off === 0) return
  const tau = ((rowQ[q] ?? 0) - (rowP[p] ?? 0)) / (2 * off)
  const t = tau >= 0 ? 1 / (tau + Math.hypot(1, tau)) : -1 / (-tau + Math.hypot(1, tau))
  const cos = 1 / Math.hypot(1, t)
  const turn = { cos, sin: t * cos }
  for (const row of matrix) turnPair(row, p, row, q, turn)
  for (let at = 0; at < matrix.length; at += 1) turnPair(rowP, at, rowQ, at, turn)
  const [vectorP, vectorQ] = [turned[p], turned[q]]
  if (vectorP === undefined || vectorQ === undefined) return
  for (let at = 0; at < matrix.length; at += 1) turnPair(vectorP, at, vectorQ, at, turn)
}

type Turn = { readonly cos: number; readonly sin: number }
function turnPair(a: Float64Array, atA: number, b: Float64Array, atB: number, { cos, sin }: Turn): void {
  const [valueA, valueB] = [a[atA] ?? 0, b[atB] ?? 0]
  a[atA] = cos * valueA - sin * valueB
  b[atB] = sin * valueA + cos * valueB
}

function offDiagonal(matrix: readonly Float64Array[]): number {
  let sum = 0
  for (const [at, row] of matrix.entries()) {
    row.forEach((value, other) => {
      if (other !== at) sum += value * value
    })
  }
  return sum
}

function unit(size: number, at: number): Float64Array {
  const vector = new Float64Array(size)
  vector[at] = 1
  return vector
}
