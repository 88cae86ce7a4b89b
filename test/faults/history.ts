// What everybody saw during a fault: callers, workers and the audit log. The checker compares them afterwards.
import type { Verification } from '../../src/audit/verify.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

/** One call, as its caller saw it. `id` is the caller's own, sent in the payload. */
export type Told = {
  readonly id: string
  readonly caller: string
  readonly capability: string
  readonly key: string | null
  readonly startMs: number
  readonly endMs: number
  /** Null: the connection broke before an answer, or within it. */
  readonly status: number | null
  readonly error: string | null
  readonly decisionId: string | null
  /** The answer is a worker's. */
  readonly workerId: string | null
  readonly isReplay: boolean
}

/** One execution, as the worker saw it. `none`: it sent no byte of an answer; `part`: not all of it. */
export type Execution = {
  readonly id: string
  readonly workerId: string
  readonly caller: string
  readonly capability: string
  readonly key: string | null
  readonly decisionId: string
  readonly atMs: number
  /** How long each audit file was when the request arrived. */
  readonly auditSizes: Readonly<Record<string, number>>
  answered: 'none' | 'part' | 'whole'
}

/** A record, and where in its file it ends. */
export type Recorded = { readonly line: AuditLine; readonly file: string; readonly endsAt: number }

export type History = {
  readonly told: readonly Told[]
  readonly executions: readonly Execution[]
  readonly records: readonly Recorded[]
  /** By file, checked after the last controller has ended. */
  readonly chains: Readonly<Record<string, Verification>>
  /** When a controller was killed: what it knew and had not written is lost with it. */
  readonly killsMs: readonly number[]
  /** The audit file could not be written in this time: outcomes may be missing, decisions may not. */
  readonly auditOutages: readonly { readonly fromMs: number; readonly toMs: number }[]
  /** Capabilities whose calls with a key may be sent to a worker again. */
  readonly retrySafe: ReadonlySet<string>
}

/** Whether an independent oracle allows the call of this record; `no_revision`: nobody knows the policy it names. */
export type Oracle = (record: AuditLine) => boolean | 'no_revision'
