// Starts the audit log, its metrics, and the budgets for refusals without an identity or without a decision.
import { hostname } from 'node:os'
import { VERSION } from '../../platform/version.ts'
import type { Append, AuditLog, Note } from '../audit/group-commit.ts'
import { openCheckpoints, type Checkpoints } from '../audit/checkpoints.ts'
import { createRefusalBudget, type RefusalBudget } from '../audit/refusal-budget.ts'
import { takeOverOldLog } from '../audit/take-over.ts'
import { openAuditLog } from '../audit/writer.ts'
import { startKeeper, type Keeper } from '../audit-keeper/keeper.ts'
import type { KeeperData, KeeperShipping } from '../audit-keeper/words.ts'
import { checkpointKeyName, checkpointOrigin } from '../../audit/checkpoint.ts'
import { slotFolder } from '../../audit/places.ts'
import { signingKeyEvent } from '../../audit/signing-key.ts'
import { isoTime } from '../../core/iso-time.ts'
import type { AuditState } from '../../core/wire.ts'
import { shippedFrom, shippingTarget } from '../audit-shipping/target.ts'
import { createAuditShippingMetrics } from '../metrics/audit-shipping-metrics.ts'
import { SERVICE, type Ground } from './ground.ts'
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
  /** For operators. */
  readonly state: () => AuditState
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
  const data = keeperData(ground, folder)
  const durable = new BigUint64Array(data.durableSeq)
  // What follows the log is opened after it.
  const followers: { checkpoints?: Checkpoints; keeper?: Keeper } = {}
  // Closed after the log, whose last records it covers.
  opened.defer(() => followers.checkpoints?.close())
  const auditLog = opened.adopt(
    await openAuditLog({
      folder,
      sync: config.auditSync,
      limits: config.auditLimits,
      signer: config.auditSigner,
      now,
      monotonic,
      log,
      onDropped: (count) => metrics.audited('dropped', count),
      onWritten: (count) => metrics.audited('written', count),
      onLost: (count) => metrics.audited('failed', count),
      onSegment: metrics.auditSegmentOpened,
      onHead(head) {
        Atomics.store(durable, 0, BigInt(head.seq))
        followers.checkpoints?.seen(head)
        followers.keeper?.wake()
      },
    }),
    (it) => it.close(),
  )
  Atomics.store(durable, 0, BigInt(auditLog.health().head.seq))
  const checkpoints = await openCheckpoints(checkpointOptions(ground, folder), auditLog.health().head)
  const keeper = opened.adopt(startKeeper({ data, audit: auditLog, log, now, credentials: ground.credentials }), (it) =>
    it.close(),
  )
  Object.assign(followers, { checkpoints, keeper })
  createShippingMetrics(ground, data, keeper)
  const append = auditLog.append.bind(auditLog)
  if (config.auditSigner !== undefined)
    await append(signingKeyEvent(config.auditSigner, isoTime(now())), { patient: true })
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
    state: stateOf(auditLog, checkpoints),
    keeper,
    strangers: openBudget(),
    peers: openBudget(),
  }
}

/** Only where records are shipped. */
function createShippingMetrics({ metricsRegistry }: Ground, { shipping }: KeeperData, keeper: Keeper): void {
  const targets = shipping.map(({ to }) => to)
  if (targets.length > 0) createAuditShippingMetrics(metricsRegistry, targets, () => keeper.report()?.shipping ?? [])
}

/** Each process keeps its own part. */
function keeperData({ config, env, siblings }: Ground, folder: string): KeeperData {
  const { maxAgeMs, maxBytes } = config.auditKeep
  const keep = { maxAgeMs, maxBytes: maxBytes === undefined ? undefined : partOf(maxBytes, siblings) }
  const slot = siblings?.slot ?? 0
  const durableSeq = new SharedArrayBuffer(8)
  const rules = { keep, keepOfAll: config.auditKeep, full: config.auditFull, minFree: config.auditMinFree }
  return { folder, slot, ...rules, shipping: shippingOf(config, env), durableSeq }
}

/** Where this process ships its records to. */
function shippingOf({ auditStream, nats, controllerId }: Ground['config'], env: Ground['env']): KeeperShipping[] {
  const shipping: KeeperShipping[] = []
  const host = hostname()
  const target = shippingTarget(env)
  if (target !== undefined) {
    const from = shippedFrom(env, { service: SERVICE, version: VERSION, host })
    shipping.push({ to: 'otlp', target, from })
  }
  if (auditStream && nats !== undefined)
    shipping.push({ to: 'nats', target: nats, host, name: `${controllerId} audit` })
  return shipping
}

function checkpointOptions({ config, now, monotonic, log, metrics, siblings }: Ground, folder: string) {
  const { controllerId, auditSigner: signer } = config
  const origin = checkpointOrigin(checkpointKeyName(controllerId), siblings?.slot ?? 0)
  return { folder, origin, signer, now, monotonic, log, onFailed: metrics.auditCheckpointFailed }
}

function stateOf(auditLog: AuditLog, checkpoints: Checkpoints): () => AuditState {
  return () => {
    const { head } = auditLog.health()
    return { seq: head.seq, hash: head.hash, checkpoint: checkpoints.health().newest?.text ?? null }
  }
}
