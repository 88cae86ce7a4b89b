// Starts the audit log, its metrics, and the budgets for refusals without an identity or without a decision.
import type { Append, AuditLog, Note } from '../audit/group-commit.ts'
import { createRefusalBudget, type RefusalBudget } from '../audit/refusal-budget.ts'
import { takeOverOldLog } from '../audit/take-over.ts'
import { openAuditLog } from '../audit/writer.ts'
import type { KeeperData } from '../audit/keeper-words.ts'
import { startKeeper, type Keeper } from '../audit/keeper.ts'
import { slotFolder } from '../../audit/places.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'

export type StartedAudit = {
  /** The folder of this process's segments. */
  readonly folder: string
  /** Resolves when the record is durable. @throws {AppError} `audit_unavailable` */
  readonly append: Append
  /** The same without a promise. */
  readonly note: Note
  readonly health: AuditLog['health']
  readonly rotate: AuditLog['rotate']
  readonly keeper: Keeper
  /** Separate budgets for refusals of strangers, of whom there can be any number, and of verified peers. */
  readonly strangers: RefusalBudget
  readonly peers: RefusalBudget
}

const REFUSALS_RECORDED_PER_SECOND = 50

/** @throws {AuditFileError | Error} like takeOverOldLog and openAuditLog */
export async function startAudit(ground: Ground): Promise<StartedAudit> {
  const { config, now, monotonic, log, metrics, opened, siblings } = ground
  const { slot = 0 } = siblings ?? {}
  const folder = slotFolder(config.auditDir, slot)
  if (slot === 0 && !config.auditDirGiven)
    await takeOverOldLog({ stateDir: config.stateDir, sync: config.auditSync, log })
  let wake = (): void => undefined
  const auditLog = opened.adopt(
    await openAuditLog({
      folder,
      sync: config.auditSync,
      limits: config.auditLimits,
      now,
      monotonic,
      log,
      onDropped: (count) => metrics.audited('dropped', count),
      onWritten: (count) => metrics.audited('written', count),
      onLost: (count) => metrics.audited('failed', count),
      onSegment: metrics.auditSegmentOpened,
      onSealed: () => wake(),
    }),
    (it) => it.close(),
  )
  const keeper = opened.adopt(startKeeper({ data: keeperData(ground, folder), audit: auditLog, log, now }), (it) =>
    it.close(),
  )
  wake = () => keeper.wake()
  const append = auditLog.append.bind(auditLog)
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
    rotate: auditLog.rotate.bind(auditLog),
    keeper,
    strangers: openBudget(),
    peers: openBudget(),
  }
}

/** Each process keeps its own part. */
function keeperData({ config, siblings }: Ground, folder: string): KeeperData {
  const { maxAgeMs, maxBytes } = config.auditKeep
  const keep = { maxAgeMs, maxBytes: maxBytes === undefined ? undefined : partOf(maxBytes, siblings) }
  return { folder, keep, full: config.auditFull, minFree: config.auditMinFree, ships: false }
}
