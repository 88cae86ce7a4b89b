// The options of `npm run bench -- …`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { CachedAmounts } from './measure-cached.ts'
import type { BodyAmounts } from './measure-bodies.ts'
import type { EventAmounts } from './measure-events.ts'
import type { ManifestAmounts } from './measure-manifests.ts'
import type { RateAmounts } from './measure-rates.ts'
import type { IdleAmounts } from './measure-idle.ts'
import type { OverloadAmounts } from './measure-overload.ts'
import type { ProviderAmounts } from './measure-providers.ts'
import type { RefusalAmounts } from './measure-refusals.ts'
import type { RotationAmounts } from './measure-rotation.ts'
import { PARTS, ROWS } from './rows.ts'

/** The amount of work per row. Counts are requests (or decisions), not seconds: V8 optimises by counts. */
export type Amounts = {
  readonly warmUp: number
  /** For a peer, which compiles nothing. */
  readonly warmUpPeer: number
  readonly ramp: number
  readonly closed: number
  readonly open: number
  /** Requests per second in the open loop. */
  readonly rate: number
  readonly decisions: { readonly embedded: number; readonly sidecar: number }
  readonly rates: RateAmounts
  readonly bodies: BodyAmounts
  readonly cached: CachedAmounts
  readonly events: EventAmounts
  readonly manifests: ManifestAmounts
  /** Calls of the trace rows: at a steady 50 per second, and at saturation. */
  readonly traces: { readonly warmUp: number; readonly steady: number; readonly full: number }
  /** Requests per shape: small ones, and those with a body of a megabyte or their own connection. */
  readonly refusals: RefusalAmounts
  /** Calls of each capability of the workers. */
  readonly workers: number
  readonly overload: OverloadAmounts
  readonly providers: ProviderAmounts
  readonly idle: IdleAmounts
  readonly rotation: RotationAmounts
}

export type Options = {
  readonly json: boolean
  readonly rounds: number
  /** Names of rows, or of parts such as `policy`. Empty: all but `overload`. */
  readonly only: readonly string[]
  readonly amounts: Amounts
  readonly quick: boolean
  /** Folder for the CPU profiles that controllers write when they end. */
  readonly cpuProf: string | undefined
  /** Settings of the controllers of all rows, over their own. */
  readonly set: Readonly<Record<string, string>>
  /** Servers name their functions to `perf`, and the bench says their process ids. */
  readonly perf: boolean
}

/** Keep-alive connections of the load generator. */
export const CONNECTIONS = 32

/** The budgets compare the larger ones with the first. */
export const MANIFEST_COUNTS = [10, 1000, 50_000] as const

const WHOLE: Amounts = {
  warmUp: 100_000,
  warmUpPeer: 5000,
  ramp: 2000,
  closed: 20_000,
  open: 4000,
  rate: 1000,
  decisions: { embedded: 20_000, sidecar: 5000 },
  rates: { ramp: 320, saturated: 3000, per1000: 1000, per200: 400 },
  bodies: { calls: 10_000, warmUp: 200, bodies: 100 },
  cached: { callers: 1000, warmUp: 30_000, calls: 9600 },
  events: { streams: 8, events: 500, intervalMs: 10 },
  manifests: { counts: MANIFEST_COUNTS, embedded: 10_000, sidecar: 2000 },
  traces: { warmUp: 20_000, steady: 1000, full: 10_000 },
  refusals: { small: 200, large: 16 },
  workers: 50,
  overload: { warmUpSeconds: 8, seconds: 6, rounds: 3 },
  providers: { warmUp: 40_000, calls: 10_000 },
  idle: { settleMs: 15_000, lookMs: 20_000 },
  rotation: { warmUp: 40_000, calls: 10_000 },
}
const QUICK: Amounts = {
  warmUp: 200,
  warmUpPeer: 64,
  ramp: 64,
  closed: 200,
  open: 100,
  rate: 200,
  decisions: { embedded: 200, sidecar: 100 },
  rates: { ramp: 64, saturated: 64, per1000: 64, per200: 20 },
  bodies: { calls: 64, warmUp: 2, bodies: 4 },
  cached: { callers: 8, warmUp: 64, calls: 96 },
  events: { streams: 2, events: 5, intervalMs: 5 },
  manifests: { counts: [10, 100, 1000], embedded: 100, sidecar: 50 },
  traces: { warmUp: 100, steady: 25, full: 200 },
  refusals: { small: 8, large: 4 },
  workers: 2,
  overload: { warmUpSeconds: 0.2, seconds: 0.2, rounds: 1 },
  providers: { warmUp: 64, calls: 64 },
  idle: { settleMs: 10, lookMs: 100 },
  rotation: { warmUp: 1000, calls: 200 },
}
const ROUNDS = 6

const NAMES: readonly string[] = [...ROWS.map(({ name }) => name), ...PARTS]

export const USAGE = `usage: npm run bench -- [--rounds <n>] [--only <row>]… [--rate <n>] [--quick] [--json]
                            [--set <NAME=value>]… [--cpu-prof <folder>] [--perf]

  --rounds <n>        interleaved rounds (default ${ROUNDS}); from 6 on a budget is met or missed only where the
                      rounds' noise allows no doubt (sign test, 95 %), else it is unclear: 15 are enough for most.
                      A ratio that is missed without doubt makes the exit code 1
  --only <row>        one of ${NAMES.join(', ')}; may be given several times. A ratio needs both of
                      its rows. traces needs Jaeger, which is built once where it is not found (about five
                      minutes); bodies, cached and the rows nginx… need nginx with njs (NGINX_BIN, PATH or /usr/sbin), and
                      are skipped where there is none
  --rate <n>          requests per second of the open loop (default ${WHOLE.rate})
  --quick             tiny counts and one round: shows that the bench works, its figures mean nothing
  --json              one JSON object on stdout instead of the tables
  --set <NAME=value>  a setting of the controllers of all rows, such as CRANK_AUDIT_SYNC=write; several times
  --cpu-prof <folder> each server writes a V8 CPU profile there when it ends
  --perf              each server names its functions to Linux perf, and the bench prints its process id
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
    set: Object.fromEntries(values.set.map(settingOf)),
    perf: values.perf,
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
        set: { type: 'string', multiple: true, default: [] },
        perf: flag,
        help: { ...flag, short: 'h' },
      },
    })
    return values
  } catch (cause: unknown) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause))
  }
}

function settingOf(text: string): [name: string, value: string] {
  const [, name, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new UsageError(`--set "${text}": must be NAME=value`)
  return [name, value]
}

function positive(name: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new UsageError(`${name} "${text}": must be a whole number from 1 to 999999`)
}
