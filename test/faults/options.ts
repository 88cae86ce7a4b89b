// The options of `npm run test:faults`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Amounts } from './lab.ts'

export type Options = {
  readonly action: 'run' | 'list' | 'help'
  /** Empty: all. */
  readonly only: readonly string[]
  readonly short: boolean
  readonly seed: number | undefined
  readonly amounts: Amounts
  /** Where the results are written as JSON. */
  readonly json: string
}

export const SHORT_AMOUNTS: Amounts = { kills: 2, workers: 60, seconds: 2 }
const FULL_AMOUNTS: Amounts = { kills: 25, workers: 180, seconds: 10 }

export const USAGE = `usage: npm run test:faults -- [options]

Brings the faults F1 to F32 upon a controller, one after another, and compares what callers, workers and the audit log saw.
Exit code 0: all held. 1: something was missed, or it was stopped. 2: wrong usage.

  --only F9,F10    these faults only
  --short          the short form, which npm test runs
  --seed N         the seed of every random choice (0 to 4294967295); default: a new one, which is printed
  --kills N        how often F15 and F16 kill the controller (default ${FULL_AMOUNTS.kills})
  --workers N      how many workers F17 has (default ${FULL_AMOUNTS.workers})
  --json FILE      where the results go (default .crank/faults.json)
  --list           names the faults and runs nothing
  --help

example: npm run test:faults -- --only F15 --kills 100
`

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws {UsageError} with a sentence for the user. */
export function parseOptions(args: readonly string[], known: readonly string[]): Options {
  const values = valuesOf(args)
  const only = (values.only ?? '').split(',').filter((id) => id !== '')
  const unknown = only.find((id) => !known.includes(id))
  if (unknown !== undefined) throw new UsageError(`--only ${unknown}: no such fault; --list names them`)
  if (values.only !== undefined && only.length === 0) throw new UsageError('--only: name a fault, such as F9')
  const { kills, workers, seconds } = values.short === true ? SHORT_AMOUNTS : FULL_AMOUNTS
  return {
    action: values.help === true ? 'help' : values.list === true ? 'list' : 'run',
    only,
    short: values.short === true,
    seed: values.seed === undefined ? undefined : whole('--seed', values.seed, 0, 2 ** 32 - 1),
    amounts: {
      kills: whole('--kills', values.kills ?? String(kills), 1, 1000),
      workers: whole('--workers', values.workers ?? String(workers), 1, 1000),
      seconds,
    },
    json: resolve(values.json ?? '.crank/faults.json'),
  }
}

function valuesOf(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = {
    only: text,
    seed: text,
    kills: text,
    workers: text,
    json: text,
    short: flag,
    list: flag,
    help: flag,
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (cause: unknown) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new UsageError(`${name} ${text}: give a whole number from ${least} to ${most}`)
}
