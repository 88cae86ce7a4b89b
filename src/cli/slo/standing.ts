// What a scrape says of each objective: attained or missed, the budget that is left, how fast it burns, who is shed.
import { OBJECTIVES, SHEDDABLE } from '../../slo/slo.ts'
import { CliError, EXIT } from '../exit.ts'
import type { SloSample } from './scrape.ts'

/** One objective of one capability, as the commands print it as JSON. */
export type Standing = {
  readonly capability: string
  readonly objective: string
  readonly target: number
  /** Null for availability. */
  readonly limit_ms: number | null
  readonly window_days: number
  readonly calls: number
  readonly attained: number
  readonly budget_left: number
  readonly missed: boolean
  readonly burn: Readonly<Record<'5m' | '30m' | '1h' | '6h', number>>
  /** `fast`: over 1 h and 5 min, `slow`: over 6 h and 30 min. */
  readonly burning: 'fast' | 'slow' | null
  /** Over the last hour; null for availability and without calls. */
  readonly latency_ms: number | null
  /** Share of the calls refused now, by priority; only of the priorities that the SLO sheds. */
  readonly shed: Readonly<Record<string, number>>
}

/** By capability, then in the order of the objectives. @throws {CliError} `usage` for series of several controllers */
export function standingsIn(samples: readonly SloSample[]): Standing[] {
  const values = indexed(samples)
  const of = (name: string, ...labels: string[]): number | undefined => values.get([name, ...labels].join(' '))
  const capabilities = [...new Set(samples.map(({ labels }) => labels['capability'] ?? ''))].sort()
  return capabilities.flatMap((capability) =>
    OBJECTIVES.flatMap((objective) => {
      const target = of('objective_ratio', capability, objective)
      if (target === undefined) return []
      const seconds = (name: string): number | null => {
        const value = of(name, capability, objective)
        return value === undefined ? null : value * 1000
      }
      const calls = of('counted_calls', capability, objective) ?? 0
      const budget = of('budget_left_ratio', capability, objective) ?? 1
      const rate = (window: string): number => of('burn_rate', capability, objective, window) ?? 0
      const threshold = (speed: string): number => of('burn_threshold', capability, objective, speed) ?? Infinity
      return [
        {
          capability,
          objective,
          target,
          limit_ms: seconds('latency_limit_seconds'),
          window_days: (of('window_seconds', capability) ?? 0) / 86_400,
          calls,
          attained: of('attained_ratio', capability, objective) ?? 1,
          budget_left: budget,
          missed: calls > 0 && budget < -ROUNDING,
          burn: { '5m': rate('5m'), '30m': rate('30m'), '1h': rate('1h'), '6h': rate('6h') },
          burning: burningOf(rate, threshold),
          latency_ms: seconds('latency_seconds'),
          shed: Object.fromEntries(
            SHEDDABLE.flatMap((priority) => {
              const share = of('shed_ratio', capability, priority)
              return share === undefined ? [] : [[priority, share]]
            }),
          ),
        },
      ]
    }),
  )
}

/** Exactly the allowed share of failures leaves nothing of the budget, and is no miss. */
const ROUNDING = 1e-9

function burningOf(rate: (window: string) => number, threshold: (speed: string) => number): Standing['burning'] {
  if (Math.min(rate('1h'), rate('5m')) >= threshold('fast')) return 'fast'
  return Math.min(rate('6h'), rate('30m')) >= threshold('slow') ? 'slow' : null
}

/** By name, capability and the other label. */
function indexed(samples: readonly SloSample[]): Map<string, number> {
  const values = new Map<string, number>()
  for (const { name, labels, value } of samples) {
    const { capability, objective, window, speed, priority } = labels
    const key = [name, capability, objective, window, speed, priority].filter((part) => part !== undefined)
    if (values.has(key.join(' '))) {
      const hint = 'give the scrape of a single controller; for all of them together ask Prometheus'
      throw new CliError(EXIT.usage, `several series of controller_slo_${key.join(' ')}`, { hint })
    }
    values.set(key.join(' '), value)
  }
  return values
}
