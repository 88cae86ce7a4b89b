// Figures of objectives as text.

const MOST_DIGITS = 6

/** A share as per cent, to two digits; with `target`, with as many digits as it takes to tell the two apart. */
export function percent(share: number, target = share): string {
  let digits = 2
  while (digits < MOST_DIGITS && share !== target && digitsOf(share, digits) === digitsOf(target, digits)) digits += 1
  return `${digitsOf(share, digits)} %`
}

/** `1 fault`, `2 faults`. */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** `30 d`. */
export function days(number: number): string {
  return `${Number(number.toFixed(2))} d`
}

function digitsOf(share: number, digits: number): number {
  return Number((share * 100).toFixed(digits))
}
