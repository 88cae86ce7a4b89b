// The options of `npm run bench -- …`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { OverloadAmounts } from './measure-overload.ts'
import type { RefusalAmounts } from './measure-refusals.ts'
import { OVERLOAD, POLICY, REFUSALS, RELOAD, ROWS, TRACES, WORKERS } from './rows.ts'

/** The amount of work per row. Counts are requests (or decisions), not seconds: V8 optimises by counts. */
export type Amounts = {
  readonly warmUp: number
  readonly ramp: number
  readonly closed: number
  readonly open: number
  /** Requests per second in the open loop. */
  readonly rate: number
  readonly decisions: { readonly embedded: number; readonly sidecar: number }
  /** Calls of the trace rows: at a steady 50 per second, and at saturation. */
  readonly traces: { readonly warmUp: number; readonly steady: number; readonly full: number }
  /** Requests per shape: small ones, and those with a body of a megabyte or their own connection. */
  readonly refusals: RefusalAmounts
  /** Calls of each capability of the workers. */
  readonly workers: number
  readonly overload: OverloadAmounts
}

export type Options = {
  readonly json: boolean
  readonly rounds: number
  /** Names of rows, `policy`, `refusals`, `reload`, `traces`, `workers` or `overload`. Empty: all but `overload`. */
  readonly only: readonly string[]
  readonly amounts: Amounts
  readonly quick: boolean
  /** Folder for the CPU profiles that controllers write when they end. */
  readonly cpuProf: string | undefined
}

/** Keep-alive connections of the load generator. */
export const CONNECTIONS = 32

const WHOLE: Amounts = {
  warmUp: 100_000,
  ramp: 2000,
  closed: 20_000,
  open: 4000,
  rate: 1000,
  decisions: { embedded: 20_000, sidecar: 5000 },
  traces: { warmUp: 20_000, steady: 1000, full: 10_000 },
  refusals: { small: 200, large: 16 },
  workers: 50,
  overload: { warmUpSeconds: 8, seconds: 6, rounds: 3 },
}
const QUICK: Amounts = {
  warmUp: 200,
  ramp: 64,
  closed: 200,
  open: 100,
  rate: 200,
  decisions: { embedded: 200, sidecar: 100 },
  traces: { warmUp: 100, steady: 25, full: 200 },
  refusals: { small: 8, large: 4 },
  workers: 2,
  overload: { warmUpSeconds: 0.2, seconds: 0.2, rounds: 1 },
}
const ROUNDS = 5

const NAMES = [POLICY, ...ROWS.map(({ name }) => name), REFUSALS, RELOAD, TRACES, WORKERS, OVERLOAD]

export const USAGE = `usage: npm run bench -- [--rounds <n>] [--only <row>]… [--rate <n>] [--quick] [--json] [--cpu-prof <folder>]

  --rounds <n>        interleaved rounds (default ${ROUNDS}); from 6 on a budget is met or missed only where the
                      rounds' noise allows no doubt (sign test, 95 %), else it is unclear: 15 are enough for most
  --only <row>        one of ${NAMES.join(', ')}; may be given several times. Ratios need forward;
                      ${TRACES} needs Jaeger, which is built once where it is not found (about five minutes)
  --rate <n>          requests per second of the open loop (default ${WHOLE.rate})
  --quick             tiny counts and one round: shows that the bench works, its figures mean nothing
  --json              one JSON object on stdout instead of the tables
  --cpu-prof <folder> each server writes a V8 CPU profile there when it ends
`

/** Wrong usage; the process exits with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws {UsageError} */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const values = parse(args)
  if (values.help) return 'help'
  const only = values.only.flatMap((names) => names.split(','))
  const unknown = only.find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw new UsageError(`--only "${unknown}": must be one of ${NAMES.join(', ')}`)
  const amounts = values.quick ? QUICK : WHOLE
  return {
    json: values.json,
    rounds: values.rounds === undefined ? (values.quick ? 1 : ROUNDS) : positive('--rounds', values.rounds),
    only,
    quick: values.quick,
    amounts: values.rate === undefined ? amounts : { ...amounts, rate: positive('--rate', values.rate) },
    cpuProf: values['cpu-prof'] === undefined ? undefined : resolve(values['cpu-prof']),
  }
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: text,
        only: { type: 'string', multiple: true, default: [] },
        rate: text,
        quick: flag,
        json: flag,
        'cpu-prof': text,
        help: { ...flag, short: 'h' },
      },
    })
    return values
  } catch (cause: unknown) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause))
  }
}

function positive(name: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new UsageError(`${name} "${text}": must be a whole number from 1 to 999999`)
}
