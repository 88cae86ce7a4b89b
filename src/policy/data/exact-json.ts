// JSON without lost digits: a time in nanoseconds has 19 of them, a JavaScript number holds 15.

const DECIMAL = /^(-?\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/
/** More than any time has; beyond it nobody asks for the exact value. */
const MAX_DIGITS = 40

/**
 * As JSON.parse, but an integer that a JavaScript number cannot hold becomes a BigInt, and any other number of that size
 * NaN, which passes no check.
 */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value !== 'number' || Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value
    return exactInteger(context?.source ?? '') ?? Number.NaN
  })
}

/** The integer that a JSON number is, whatever way it is written; undefined when it is none, or absurdly long. */
export function exactInteger(source: string): bigint | undefined {
  const [, whole = '', fraction = '', power = '0'] = DECIMAL.exec(source) ?? []
  const exponent = Number(power) - fraction.length
  if (whole === '' || whole.length + fraction.length + Math.abs(exponent) > MAX_DIGITS) return undefined
  const digits = BigInt(`${whole}${fraction}`)
  if (exponent >= 0) return digits * 10n ** BigInt(exponent)
  const divisor = 10n ** BigInt(-exponent)
  return digits % divisor === 0n ? digits / divisor : undefined
}
