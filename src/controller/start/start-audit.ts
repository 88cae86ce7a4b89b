// Starts the audit log, its metrics, and the budgets for refusals without an identity or without a decision.
import type { Append, AuditLog, Note } from '../audit/group-commit.ts'
import { createRefusalBudget, type RefusalBudget } from '../audit/refusal-budget.ts'
import { takeOverOldLog } from '../audit/take-over.ts'
import { openAuditLog } from '../audit/writer.ts'
import type { Ground } from './ground.ts'

export type StartedAudit = {
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
export async function startAudit({ config, now, monotonic, log, metrics, opened }: Ground): Promise<StartedAudit> {
  if (!config.auditFileGiven) await takeOverOldLog({ stateDir: config.stateDir, sync: config.auditSync, log })
  const auditLog = opened.adopt(
    await openAuditLog({
      file: config.auditFile,
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
    opened.adopt(createRefusalBudget({ perSecond: REFUSALS_RECORDED_PER_SECOND, append, now }), (it) => it.close())
  return {
    append,
    note: auditLog.note.bind(auditLog),
    health: auditLog.health.bind(auditLog),
    strangers: openBudget(),
    peers: openBudget(),
  }
}
