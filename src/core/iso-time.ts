// On the path of every call. Times as text, for records, log lines and the policy's input: three per call.

let second = Number.NaN
let upToSecond = ''

/** ISO 8601, UTC, milliseconds. `atMs`: Unix milliseconds; a fraction is cut off. The text up to the second is cached. */
export function isoTime(atMs: number): string {
  const wholeMs = Math.trunc(atMs)
  const of = Math.floor(wholeMs / 1000)
  if (of !== second) {
    upToSecond = new Date(of * 1000).toISOString().slice(0, -'000Z'.length)
    second = of
  }
  return `${upToSecond}${String(wholeMs - of * 1000).padStart(3, '0')}Z`
}
