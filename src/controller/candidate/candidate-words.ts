// The messages between the controller and the thread of the candidate policy.
import type { Mode, PolicyInput, Reason } from '../../core/decision.ts'
import type { ErrorCode } from '../../core/errors.ts'

/** `env`: to find OPA if the candidate's policy.wasm was not built from its Rego. */
export type CandidateTask = { readonly policyDir: string; readonly env: Readonly<Record<string, string | undefined>> }

/** Questions to answer in order. */
export type CandidateBatch = { readonly inputs: readonly PolicyInput[] }

export type CandidateAnswer =
  | { readonly decision: 'allow' | 'deny'; readonly mode: Mode; readonly reasons: readonly Reason[] }
  | { readonly decision: 'error'; readonly error: ErrorCode }

/** `failed`: the folder cannot be used; what was loaded before stays in use. */
export type CandidateNews =
  { readonly kind: 'ready'; readonly revision: string } | { readonly kind: 'failed'; readonly reason: string }
