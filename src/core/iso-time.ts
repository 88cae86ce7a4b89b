// Times as text, for records, log lines and the policy's input: three of them in every call.

let second = Number.NaN
let upToSecond = ''

/** ISO 8601, UTC, milliseconds. `atMs`: Unix milliseconds, whole. Only the last digits are made anew within a second. */
export function isoTime(atMs: number): string {
  const of = Math.floor(atMs / 1000)
  if (of !== second) {
    upToSecond = new Date(of * 1000).toISOString().slice(0, -'000Z'.length)
    second = of
  }
  return `${upToSecond}${String(atMs - of * 1000).padStart(3, '0')}Z`
}
