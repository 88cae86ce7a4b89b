// Durations as people write them: 500ms, 30s, 10m, 1h, 7d.

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a duration such as `90s` or `1.5h`. @throws {Error} with a sentence that says what is allowed */
export function parseDuration(text: string): number {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  const milliseconds = Number(amount) * (UNITS[unit] ?? NaN)
  if (!Number.isSafeInteger(Math.round(milliseconds)) || milliseconds < 1) {
    throw new Error('must be a duration such as 30s, 10m, 1h or 7d')
  }
  return Math.round(milliseconds)
}
