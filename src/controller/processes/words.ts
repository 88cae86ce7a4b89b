// What the processes of one controller say to each other. All messages go through the parent, which gives them one order.
import type { AuditState } from '../../core/wire.ts'
import type { KnownBlocks } from '../../policy/data/block-entry.ts'
import type { Begun, Claim, Ending } from '../idempotency/key-store.ts'
import type { MeshHealth } from '../mesh/mesh.ts'
import type { MetricFamily } from '../metrics/merged-metrics.ts'
import type { Readiness } from '../readiness.ts'
import type { KnownRoll } from '../routing/known-roll.ts'
import type { Beat, RollChange } from '../routing/roll.ts'

/** Which of the processes this is. `slot`: from 0; a successor of a process that died has the same. */
export type Seat = { readonly slot: number; readonly of: number }

/** Answers of the processes that serve, by slot; undefined: it did not answer in time. */
export type BySlot<T> = readonly (readonly [slot: number, answer: T | undefined])[]

type Ask<A, R = void> = { readonly ask: A; readonly answer: R }

/** A process that listens. `revision`: of the policy files in force. */
export type Serving = {
  readonly port: number
  readonly adminPort: number
  readonly engine: string
  readonly revision: string
}

/** What starts a process that serves. `ports`: those that the first one has got; undefined: it is the first one. */
export type Task = {
  readonly seat: Seat
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly ports: { readonly port: number; readonly adminPort: number } | undefined
}

/** What a process that serves asks of the parent. */
export type ToParent = {
  /** It can follow the roll now; the first `know` comes before the answer. */
  readonly follow: Ask<null>
  readonly share: Ask<RollChange, boolean>
  readonly beats: Ask<readonly Beat[]>
  readonly begin: Ask<Claim, Begun>
  readonly end: Ask<{ readonly claim: Claim; readonly ending: Ending }, boolean>
  /** The policy is prepared; answered when every process has prepared it, or the wait is over. */
  readonly policyTurn: Ask<{ readonly revision: string }, 'together' | 'alone'>
  /** It follows the block list of the mesh from now on; the first `blocks` comes before the answer. False: there is no mesh. */
  readonly followBlocks: Ask<null, boolean>
  readonly listening: Ask<Serving>
  readonly readinessOfAll: Ask<null, BySlot<Readiness>>
  readonly metricsOfAll: Ask<null, readonly MetricFamily[]>
  readonly rotateAll: Ask<null, BySlot<number>>
  readonly auditOfAll: Ask<null, BySlot<AuditState>>
}

/** What the parent asks of a process that serves. */
export type ToChild = {
  readonly know: Ask<KnownRoll>
  readonly apply: Ask<RollChange, boolean>
  readonly beats: Ask<readonly Beat[]>
  /** How the link to the shared store is. */
  readonly mesh: Ask<MeshHealth>
  /** The block list of the mesh, whole. */
  readonly blocks: Ask<KnownBlocks>
  /** Whether it does not hang. */
  readonly ping: Ask<null>
  readonly readiness: Ask<null, Readiness>
  readonly metrics: Ask<null, readonly MetricFamily[]>
  readonly audit: Ask<null, AuditState>
  /** Begin a new audit segment; the answer is its first record. */
  readonly rotate: Ask<null, number>
  /** End in order, as after this signal. */
  readonly stop: Ask<'SIGTERM' | 'SIGINT'>
}
