// Parses the values of options; error messages state the valid values.
import { parseCapability, type Capability } from '../core/capability.ts'
import { CliError, EXIT } from './exit.ts'

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const TIME = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)([Zz]|[+-]\d\d:\d\d)?)?$/

/** A duration such as `10m` ago, or a time, as Unix ms. The error names `option`. @throws {CliError} `usage` */
export function parseSince(when: string, nowMs: number, option = '--since'): number {
  const [, amount, unit = ''] = /^(\d{1,9})([smhd])$/.exec(when) ?? []
  const unitMs = UNITS_MS[unit]
  const sinceMs = amount !== undefined && unitMs !== undefined ? nowMs - Number(amount) * unitMs : parseTime(when)
  if (Number.isNaN(sinceMs)) {
    throw new CliError(
      EXIT.usage,
      `${option} "${when}": must be like 90s, 10m, 2h or 7d, or a time like 2026-11-23T10:00:00Z (UTC where no offset is given)`,
    )
  }
  return sinceMs
}

/** A whole number from 0. `option` includes its dashes. @throws {CliError} `usage` */
export function parseCount(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new CliError(EXIT.usage, `${option} "${text}": must be a whole number`)
}

/** The value of `--cap`. @throws {CliError} `usage` */
export function parseCap(cap: string): Capability {
  try {
    return parseCapability(cap)
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `--cap "${cap}": must be verb:name, such as convert:document_to_pdf`, { cause })
  }
}

/**
 * A day or time as Unix ms, in UTC without an offset; NaN for anything else. Date.parse alone reads a time without an
 * offset as local time.
 */
export function parseTime(text: string): number {
  const [, day, time, offset = 'Z'] = TIME.exec(text) ?? []
  if (day === undefined) return Number.NaN
  return Date.parse(time === undefined ? day : `${day}T${time}${offset.toUpperCase()}`)
}
