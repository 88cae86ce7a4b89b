// Parses JSON without losing digits: a time in nanoseconds has 19, a JavaScript number holds 15.

const DECIMAL = /^(-?\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/
/** More than any time has; longer numbers are not converted. */
const MAX_DIGITS = 40

/**
 * Like JSON.parse, but an integer that a JavaScript number cannot hold becomes a BigInt, and any other number of that size
 * becomes NaN, which fails every check.
 */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value !== 'number' || Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value
    return exactInteger(context?.source ?? '') ?? Number.NaN
  })
}

/** The value of a JSON number in any notation, if it is an integer; undefined when it is not, or is too long. */
export function exactInteger(source: string): bigint | undefined {
  const [, whole = '', fraction = '', power = '0'] = DECIMAL.exec(source) ?? []
  const exponent = Number(power) - fraction.length
  if (whole === '' || whole.length + fraction.length + Math.abs(exponent) > MAX_DIGITS) return undefined
  const digits = BigInt(`${whole}${fraction}`)
  if (exponent >= 0) return digits * 10n ** BigInt(exponent)
  const divisor = 10n ** BigInt(-exponent)
  return digits % divisor === 0n ? digits / divisor : undefined
}
