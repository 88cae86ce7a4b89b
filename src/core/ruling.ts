// On the path of every call. The five rulings on a call, and what each one means in records, logs, metrics and answers.
import type { Mode } from './decision.ts'

type Meaning = {
  /** Whether the call is forwarded to a worker. */
  readonly passes: boolean
  /** The mode in the audit record; null: the mode of the policy's decision. */
  readonly mode: Mode | null
  /** Level of the line in the application log. */
  readonly level: 'info' | 'warn' | 'error'
  readonly event: string
  readonly text: string
}

/**
 * `allow` and `deny`: as the policy decided. `would_deny`: denied in shadow mode, so the call passes. `error`: no decision, so
 * the call is refused. `unevaluated`: no decision in shadow mode, so the call passes.
 */
export const RULINGS = {
  allow: {
    passes: true,
    mode: null,
    level: 'info',
    event: 'capability_access_allowed',
    text: 'capability access allowed',
  },
  deny: {
    passes: false,
    mode: null,
    level: 'warn',
    event: 'capability_access_denied',
    text: 'capability access denied',
  },
  would_deny: {
    passes: true,
    mode: 'shadow',
    level: 'warn',
    event: 'capability_access_would_deny',
    text: 'denied by policy, passed by shadow mode',
  },
  error: {
    passes: false,
    mode: 'enforce',
    level: 'error',
    event: 'capability_access_undecided',
    text: 'no decision, refused',
  },
  unevaluated: {
    passes: true,
    mode: 'shadow',
    level: 'error',
    event: 'capability_access_unevaluated',
    text: 'no decision, passed by shadow mode',
  },
} as const satisfies Readonly<Record<string, Meaning>>

export type Ruling = keyof typeof RULINGS

/** The rulings when the policy gave a decision. */
export type Decided = 'allow' | 'deny' | 'would_deny'
/** The rulings when the policy gave no decision. */
export type Undecided = Exclude<Ruling, Decided>

export const RULING_NAMES = Object.keys(RULINGS) as Ruling[]

/** Whether a call with this ruling is forwarded to a worker. */
export function passes(ruling: Ruling): boolean {
  return RULINGS[ruling].passes
}

export function isUndecided(ruling: Ruling): ruling is Undecided {
  return ruling === 'error' || ruling === 'unevaluated'
}

export function isRuling(value: unknown): value is Ruling {
  return typeof value === 'string' && Object.hasOwn(RULINGS, value)
}
