// Starts the audit log, its metrics, and the budgets for refusals without an identity or without a decision.
import type { Append, AuditLog, Note } from '../audit/group-commit.ts'
import { createRefusalBudget, type RefusalBudget } from '../audit/refusal-budget.ts'
import { takeOverOldLog } from '../audit/take-over.ts'
import { openAuditLog } from '../audit/writer.ts'
import { auditFileOf } from '../../audit/places.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'

export type StartedAudit = {
  readonly file: string
  /** Resolves when the record is durable. @throws {AppError} `audit_unavailable` */
  readonly append: Append
  /** The same without a promise. */
  readonly note: Note
  readonly health: AuditLog['health']
  /** Separate budgets for refusals of strangers, of whom there can be any number, and of verified peers. */
  readonly strangers: RefusalBudget
  readonly peers: RefusalBudget
}

const REFUSALS_RECORDED_PER_SECOND = 50

/** @throws {AuditFileError | Error} like takeOverOldLog and openAuditLog */
export async function startAudit(ground: Ground): Promise<StartedAudit> {
  const { config, now, monotonic, log, metrics, opened, siblings } = ground
  const { slot = 0 } = siblings ?? {}
  const file = slot === 0 ? config.auditFile : auditFileOf(config.stateDir, slot)
  if (slot === 0 && !config.auditFileGiven)
    await takeOverOldLog({ stateDir: config.stateDir, sync: config.auditSync, log })
  const auditLog = opened.adopt(
    await openAuditLog({
      file,
      sync: config.auditSync,
      now,
      monotonic,
      log,
      onDropped: (count) => metrics.audited('dropped', count),
      onWritten: (count) => metrics.audited('written', count),
      onLost: (count) => metrics.audited('failed', count),
      onSegment: metrics.auditSegmentOpened,
    }),
    (it) => it.close(),
  )
  const append = auditLog.append.bind(auditLog)
  const openBudget = (): RefusalBudget =>
    opened.adopt(
      createRefusalBudget({ perSecond: partOf(REFUSALS_RECORDED_PER_SECOND, siblings), append, now }),
      (it) => it.close(),
    )
  return {
    file,
    append,
    note: auditLog.note.bind(auditLog),
    health: auditLog.health.bind(auditLog),
    strangers: openBudget(),
    peers: openBudget(),
  }
}
