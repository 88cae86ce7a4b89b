// SLOs for tests, and a clock that a test moves.
import { parseCapability } from '../../../src/core/capability.ts'
import type { Objective, Slo, Target } from '../../../src/slo/slo.ts'

export const HELLO_CAPABILITY = parseCapability('invoke:hello_world')

/** 99 % availability over 30 days, `p95` within 100 ms; sheds low and normal. */
export function slo(over: Partial<Slo> = {}): Slo {
  const targets: [Objective, Target][] = [
    ['availability', { target: 0.99, limitMs: undefined }],
    ['p95', { target: 0.95, limitMs: 100 }],
  ]
  return {
    capability: HELLO_CAPABILITY,
    owner: 'team-a',
    windowMs: 30 * 86_400_000,
    targets: new Map(targets),
    burn: { fast: 14.4, slow: 6 },
    shed: ['low', 'normal'],
    ...over,
  }
}
