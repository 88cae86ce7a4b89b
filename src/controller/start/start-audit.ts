// Starts the audit log, its metrics, and the budgets for refusals without an identity or without a decision.
import type { Append, AuditLog, Note } from '../audit/group-commit.ts'
import { createRefusalBudget, type RefusalBudget } from '../audit/refusal-budget.ts'
import { takeOverOldLog } from '../audit/take-over.ts'
import type { KeeperData, KeeperReport } from '../audit-keeper/words.ts'
import type { AuditState } from '../../core/wire.ts'
import type { ShippingStanding } from '../audit-shipping/shipper.ts'
import { createAuditShippingMetrics } from '../metrics/audit-shipping-metrics.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { AuditDisk } from '../metrics/state-gauges.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'
import { RetiredSlots } from './retired-slots.ts'
import { recordSigningKey, shippingOf, startSlot, type SlotCounts, type StartedSlot } from './start-slot.ts'

export type StartedAudit = {
  /** The folder of this process's segments. */
  readonly folder: string
  /** Resolves when the record is durable. @throws {AppError} `audit_unavailable` */
  readonly append: Append
  /** The same without a promise. */
  readonly note: Note
  readonly health: AuditLog['health']
  readonly rotate: AuditLog['rotate']
  /** For operators. */
  readonly state: () => AuditState
  /** The segments that this process keeps; undefined until the first look at them. */
  readonly disk: () => AuditDisk | undefined
  /** Looks at the slots of processes that no longer run. */
  readonly keepRetired: () => void
  /** Separate budgets for refusals of strangers, of whom there can be any number, and of verified peers. */
  readonly strangers: RefusalBudget
  readonly peers: RefusalBudget
}

const REFUSALS_RECORDED_PER_SECOND = 50

/** @throws {AuditFileError | Error} like takeOverOldLog and openAuditLog */
export async function startAudit(ground: Ground): Promise<StartedAudit> {
  const { config, now, log, opened, siblings, metrics } = ground
  const { slot = 0 } = siblings ?? {}
  if (slot === 0 && !config.auditDirGiven)
    await takeOverOldLog({ stateDir: config.stateDir, sync: config.auditSync, log })
  const retired = new RetiredSlots(ground)
  const stack = new AsyncDisposableStack()
  // At the same time: each ships what is left for a moment longer.
  opened.defer(async () => {
    await Promise.all([retired.close(), stack.disposeAsync()])
  })
  const own = await startSlot(ground, { slot, keep: ownPart(ground), log, opened: stack, counts: countsOf(metrics) })
  createShippingMetrics(ground, own, retired)
  const { folder, auditLog, checkpoints } = own
  const append = auditLog.append.bind(auditLog)
  await recordSigningKey(ground, append)
  const openBudget = (): RefusalBudget =>
    opened.adopt(
      createRefusalBudget({ perSecond: partOf(REFUSALS_RECORDED_PER_SECOND, siblings), append, now }),
      (it) => it.close(),
    )
  return {
    folder,
    append,
    note: auditLog.note.bind(auditLog),
    health: auditLog.health.bind(auditLog),
    rotate: () => auditLog.rotate().finally(checkpoints.cover.bind(checkpoints)),
    state: stateOf(own),
    disk: () => diskOf(own.keeper.report(), retired),
    keepRetired: () => retired.start(),
    strangers: openBudget(),
    peers: openBudget(),
  }
}

/** Each process keeps its own part. */
function ownPart({ config, siblings }: Ground): KeeperData['keep'] {
  const { maxAgeMs, maxBytes } = config.auditKeep
  return { maxAgeMs, maxBytes: maxBytes === undefined ? undefined : partOf(maxBytes, siblings) }
}

function countsOf(metrics: Metrics): SlotCounts {
  return {
    onDropped: (count) => metrics.audited('dropped', count),
    onWritten: (count) => metrics.audited('written', count),
    onLost: (count) => metrics.audited('failed', count),
    onSegment: metrics.auditSegmentOpened,
  }
}

/** Only where records are shipped. */
function createShippingMetrics(ground: Ground, { keeper }: StartedSlot, retired: RetiredSlots): void {
  const targets = shippingOf(ground).map(({ to }) => to)
  const standings = (): ShippingStanding[] => (keeper.report()?.shipping ?? []).map((own) => retired.added(own))
  if (targets.length > 0) createAuditShippingMetrics(ground.metricsRegistry, targets, standings)
}

function diskOf(own: KeeperReport | undefined, retired: RetiredSlots): AuditDisk | undefined {
  if (own === undefined) return undefined
  const left = retired.disk()
  const oldest = Math.min(own.oldestMs ?? Infinity, left.oldestMs)
  return { ...own.disk, bytes: own.bytes + left.bytes, oldestMs: oldest === Infinity ? undefined : oldest }
}

function stateOf({ auditLog, checkpoints }: StartedSlot): () => AuditState {
  return () => {
    const { head } = auditLog.health()
    return { seq: head.seq, hash: head.hash, checkpoint: checkpoints.health().newest?.text ?? null }
  }
}
