// What a process that serves shares with the other processes of its controller. Where there is only one, nobody implements it.
import type { AuditState } from '../../core/wire.ts'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import type { KeyStore } from '../idempotency/key-store.ts'
import type { MeshHealth } from '../mesh/mesh.ts'
import type { MetricFamily } from '../metrics/merged-metrics.ts'
import type { Readiness } from '../readiness.ts'
import type { RollParts } from '../routing/known-roll.ts'
import type { Beat, Roll, Share } from '../routing/roll.ts'
import type { BySlot, Seat, Serving } from './words.ts'

/** How the roll of this process changes. */
export type SharedRoll = {
  /**
   * A change: here and in all other processes, in one order. @throws {AppError} `shutting_down` when the parent is gone,
   * `registry_unavailable` when it hangs: the change may be made later
   */
  readonly share: Share
  /** A heartbeat that this process has counted: in the others. */
  readonly beat: (beat: Beat) => void
}

/** What this process can tell the others. */
export type Answers = {
  readonly readiness: () => Readiness
  readonly metrics: () => Promise<readonly MetricFamily[]>
  readonly rotate: () => Promise<number>
  readonly audit: () => AuditState
}

export type Siblings = Seat & {
  readonly keyStore: KeyStore
  /** Takes over what the others know of the workers; from then on their changes arrive here. */
  readonly follow: (roll: Roll, parts: RollParts) => Promise<SharedRoll>
  /** How the parent's link to the shared store is; undefined: there is none. */
  readonly meshHealth: () => MeshHealth | undefined
  /** The policy files of this revision are prepared. Resolves when they may come into force. */
  readonly policyTurn: (revision: string) => Promise<void>
  /** The blocks of the mesh; undefined: there is none. */
  readonly blocks: () => Promise<BlockSource | undefined>
  /** This process listens. */
  readonly serve: (serving: Serving, answers: Answers) => Promise<void>
  /** What each process that serves says, this one included. */
  readonly readinessOfAll: () => Promise<BySlot<Readiness>>
  /** The metrics of all processes together. @throws {AppError} `parent_unavailable` */
  readonly metricsOfAll: () => Promise<readonly MetricFamily[]>
  /** Each begins a new audit segment: the number of its first record. @throws {AppError} `parent_unavailable` */
  readonly rotateAll: () => Promise<BySlot<number>>
  readonly auditOfAll: () => Promise<BySlot<AuditState>>
}

/** Changes of which nobody else need hear. */
export function unshared(roll: Roll): SharedRoll {
  return {
    async share(change) {
      const isChanged = roll.apply(change)
      await roll.settled(change)
      return isChanged
    },
    beat: () => undefined,
  }
}
