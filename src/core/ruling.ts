// On the path of every call. What becomes of a call: the five rulings, and what each one means wherever it is told.
import type { Mode } from './decision.ts'

type Meaning = {
  /** The call goes on to a worker. */
  readonly passes: boolean
  /** The mode that the audit log gives; null: that of the policy's own decision. */
  readonly mode: Mode | null
  /** The line of the application log. */
  readonly level: 'info' | 'warn' | 'error'
  readonly event: string
  readonly text: string
}

/**
 * `allow` and `deny` as the policy said; `would_deny`: denied in shadow mode, so it passes; `error`: no decision, refused;
 * `unevaluated`: no decision in shadow mode, so it passes.
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

/** The rulings on a decision of the policy. */
export type Decided = 'allow' | 'deny' | 'would_deny'
/** The rulings where the policy gave no decision. */
export type Undecided = Exclude<Ruling, Decided>

export const RULING_NAMES = Object.keys(RULINGS) as Ruling[]

/** Whether a call with this ruling goes on to a worker. */
export function passes(ruling: Ruling): boolean {
  return RULINGS[ruling].passes
}

export function isUndecided(ruling: Ruling): ruling is Undecided {
  return ruling === 'error' || ruling === 'unevaluated'
}

export function isRuling(value: unknown): value is Ruling {
  return typeof value === 'string' && Object.hasOwn(RULINGS, value)
}
