// Times to the nanosecond, as questions to the policy have them: RFC 3339 in UTC.

const INSTANT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/
/** `now_ns` in the policy's input has at most 19 digits. */
const LAST_NS = 9_999_999_999_999_999_999n

/** The rule for the message when an instant is invalid. */
export const INSTANT_RULE = 'must be a time in UTC from 1970 to 2286, such as 2026-11-24T10:00:00Z'

/** Unix nanoseconds of an instant; undefined when the text is invalid or outside the range of `now_ns`. */
export function parseInstant(text: string): bigint | undefined {
  const [, seconds = '', fraction = ''] = INSTANT.exec(text) ?? []
  const ms = Date.parse(`${seconds}.000Z`)
  // Date turns 30 February into a day in March; comparing the text detects that.
  if (Number.isNaN(ms) || ms < 0 || new Date(ms).toISOString() !== `${seconds}.000Z`) return undefined
  const ns = BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
  return ns > LAST_NS ? undefined : ns
}

/** An instant as RFC 3339 in UTC, with as many decimals as it needs. */
export function formatInstant(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`
}
