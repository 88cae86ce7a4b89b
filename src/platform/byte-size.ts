// Sizes as people write them: 500B, 64KiB, 256MiB, 10GiB, 2TiB, and decimal ones such as 10GB.

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
  TIB: 1024 ** 4,
}
const NAMES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes of a size such as `256MiB`. @throws {Error} with a sentence that says what is allowed */
export function parseBytes(text: string): number {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT]?i?B)$/i.exec(text) ?? []
  const bytes = Math.round(Number(amount) * (UNITS[unit.toUpperCase()] ?? NaN))
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw new Error('must be a size such as 64KiB, 256MiB or 10GiB')
  return bytes
}

/** Such as `1.4 GiB`. */
export function formatBytes(bytes: number): string {
  let [amount, unit] = [bytes, 0]
  while (amount >= 1024 && unit < NAMES.length - 1) {
    amount /= 1024
    unit += 1
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : String(Math.round(amount))} ${NAMES[unit] ?? 'B'}`
}
