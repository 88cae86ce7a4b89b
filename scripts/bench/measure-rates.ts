// The same servers saturated, at 1,000 and at 200 calls per second, in many short slices. Two servers that are compared are
// loaded right after each other, so that a difference of a millisecond can be told from the noise of the machine.
import type { LoadResult } from './jobs.ts'
import type { Lab, Target } from './lab.ts'
import type { MeasureOptions } from './measure.ts'
import type { RowName } from './rows.ts'

export const LOADS = ['saturated', 'per1000', 'per200'] as const
export type RateLoad = (typeof LOADS)[number]
/** Calls per second; undefined: as many as are answered. */
export const RATE_OF: Record<RateLoad, number | undefined> = { saturated: undefined, per1000: 1000, per200: 200 }

/** Requests per slice. */
export type RateAmounts = Readonly<Record<RateLoad, number>> & { readonly ramp: number }
export type RateSlice = Readonly<Record<RateLoad, LoadResult>>
export type RateRow = { readonly name: RowName; readonly slices: readonly RateSlice[] }

/** Slices per round. */
export const SLICES = 3

/** Loads each target that has `rates`. They are warm already. */
export async function measureRates(lab: Lab, options: MeasureOptions): Promise<RateRow[]> {
  const { rounds, amounts, connections, say } = options
  const rows = lab.targets
    .filter(({ row }) => row.rates === true)
    .map((target) => ({ target, slices: [] as RateSlice[] }))
  const load = ({ port, pids }: Target, kind: RateLoad): Promise<LoadResult> => {
    const rate = RATE_OF[kind]
    const { ramp, [kind]: requests } = amounts.rates
    return lab.unlessBroken(
      lab.generator.ask<LoadResult>({ port, pids, connections, ramp, requests, ...(rate !== undefined && { rate }) }),
    )
  }
  for (let slice = 0; slice < rounds * SLICES; slice++) {
    const results = rows.map(() => ({}) as Record<RateLoad, LoadResult>)
    for (const kind of LOADS) {
      // In the other direction in every second slice: none is always the first.
      const order = rows.map((_, at) => (slice % 2 === 0 ? at : rows.length - 1 - at))
      for (const at of order) {
        const [row, result] = [rows[at], results[at]]
        if (row !== undefined && result !== undefined) result[kind] = await load(row.target, kind)
      }
    }
    rows.forEach((row, at) => row.slices.push(results[at] as RateSlice))
    if (slice % SLICES === SLICES - 1) say(`rates, round ${(slice + 1) / SLICES} of ${rounds} is over`)
  }
  return rows.map(({ target: { row }, slices }) => ({ name: row.name, slices }))
}
