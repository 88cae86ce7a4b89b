// The loads of the overload rows, and what their generator reports.
import type { Latency } from './statistics.ts'

/** `nobody` and `malformed` are floods: their requests are refused with 401 and 400. */
export type OverloadKind = 'call' | 'nobody' | 'malformed'

/** `rate`: requests per second, by the clock; undefined: each connection sends its next request after an answer. */
export type OverloadJob = {
  readonly port: number
  readonly kind: OverloadKind
  readonly connections: number
  readonly seconds: number
  readonly rate?: number
  readonly priority?: 'low' | 'normal' | 'high'
}

/** `answered`: 200s per second; `refused`: other answers and broken connections per second. Latency: of the 200s. */
export type OverloadResult = { readonly answered: number; readonly refused: number; readonly latencyMs: Latency }
