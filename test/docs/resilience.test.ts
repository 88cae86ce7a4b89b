// The tables of docs/operations/resilience.md have the values of the code: each row names the constant or the setting.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ControllerEnv } from '../../src/controller/config.ts'
import { ROOT } from '../../scripts/lab/markdown-files.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  '%': 0.01,
  ms: 1,
  s: 1000,
  KiB: 1024,
  MiB: 1024 * 1024,
}

const page = readFileSync(`${ROOT}/docs/operations/resilience.md`, 'utf8')
const rows = [...page.matchAll(/^\| ([^|]+) \| ([^|]+) \| (`[^|]+`) +\|/gm)].map(([, limit, value, constant]) => ({
  limit: limit!.trim(),
  value: valueOf(value!),
  source: [...constant!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
}))

/** The first number of a cell with its unit, in milliseconds, bytes or parts of one. */
function valueOf(cell: string): number {
  const [, number, unit = ''] = /(\d+) ?(ms|s|KiB|MiB|%)?/.exec(cell) ?? []
  return Number(number) * UNITS[unit]!
}

/**
 * The value of `NAME` or `NAME.member` in a source file, which must be a product of numbers and constants of that file; of a
 * name in seconds (`_S`) in milliseconds.
 */
function constantIn(source: string, name: string): number {
  const [constant, member] = name.split('.')
  const declared = new RegExp(`const ${constant}\\b[^=]*= (\\{[^}]*\\}|[^\\n]*)`).exec(source)?.[1]
  const text = member === undefined ? declared : new RegExp(`\\b${member}: ([^,}\\n]+)`).exec(declared ?? '')?.[1]
  if (text === undefined) throw new Error(`no constant ${name}`)
  return text
    .trim()
    .split(' * ')
    .map((factor) => (/^[\d_.]+$/.test(factor) ? Number(factor.replaceAll('_', '')) : constantIn(source, factor)))
    .reduce((product, factor) => product * factor, name.endsWith('_S') ? 1000 : 1)
}

function defaultOf(setting: string): number {
  const { properties } = ControllerEnv as unknown as { properties: Record<string, { default: number }> }
  return properties[setting]!.default
}

describe('the limits of the page', () => {
  test('are all there', () => {
    expect(rows.length).toBeGreaterThan(40)
  })

  test.each(rows)('$limit', ({ value, source: [place, name] }) => {
    const isSetting = name === undefined
    expect(value).toBeCloseTo(
      isSetting ? defaultOf(place!) : constantIn(readFileSync(`${ROOT}/${place!}`, 'utf8'), name),
    )
  })
})
