// Vector arithmetic; all vectors in one operation have the same length.

type Vector = Float64Array | Float32Array

export function dot(a: Vector, b: Vector): number {
  let sum = 0
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0)
  return sum
}

/** target += factor * source */
export function addScaled(target: Vector, source: Vector, factor: number): void {
  for (let at = 0; at < target.length; at += 1) target[at] = (target[at] ?? 0) + factor * (source[at] ?? 0)
}

/** Scales it in place to length 1. @returns false for a zero vector */
export function normalise(vector: Vector): boolean {
  const length = Math.sqrt(dot(vector, vector))
  if (!(length > Number.MIN_VALUE)) return false
  for (let at = 0; at < vector.length; at += 1) vector[at] = (vector[at] ?? 0) / length
  return true
}
