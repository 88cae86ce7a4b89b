// The schema of a file in slos/. Every message says what is allowed.
import Type, { type Static } from 'typebox'
import { SHEDDABLE } from './slo.ts'

const MAX_LATENCY_MS = 300_000
const latency = Type.Optional(
  Type.Number({
    exclusiveMinimum: 0,
    maximum: MAX_LATENCY_MS,
    errorMessage: `must be a number of milliseconds above 0, at most ${MAX_LATENCY_MS}, such as 250`,
  }),
)
const burnRate = Type.Optional(
  Type.Number({ minimum: 1, maximum: 1000, errorMessage: 'must be a burn rate from 1 to 1000, such as 14.4' }),
)

export const SloSchema = Type.Object(
  {
    capability: Type.String({ errorMessage: 'must be a capability, such as invoke:hello_world' }),
    owner: Type.String({ minLength: 1, maxLength: 200, errorMessage: 'must be the name of a person or a team' }),
    window: Type.String({ errorMessage: 'must be a duration from 1d to 90d, such as 30d' }),
    availability: Type.Number({
      minimum: 0.5,
      exclusiveMaximum: 1,
      errorMessage: 'must be a share from 0.5 to below 1, such as 0.999 for 99.9 %',
    }),
    latency: Type.Optional(
      Type.Object(
        { p50_ms: latency, p95_ms: latency, p99_ms: latency },
        { additionalProperties: false, errorMessage: 'is unknown; allowed are p50_ms, p95_ms and p99_ms' },
      ),
    ),
    error_budget: Type.Optional(
      Type.Object(
        { fast_burn: burnRate, slow_burn: burnRate },
        { additionalProperties: false, errorMessage: 'is unknown; allowed are fast_burn and slow_burn' },
      ),
    ),
    shed: Type.Optional(
      Type.Array(Type.Enum([...SHEDDABLE]), { maxItems: 2, errorMessage: 'must be a list such as [low, normal]' }),
    ),
  },
  {
    additionalProperties: false,
    errorMessage: 'is unknown; allowed are capability, owner, window, availability, latency, error_budget and shed',
  },
)
export type SloDocument = Static<typeof SloSchema>
