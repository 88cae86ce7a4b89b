// Starts what a chain of the audit log needs: its writer, its checkpoints, and the thread that keeps its segments.
import { hostname } from 'node:os'
import { VERSION } from '../../platform/version.ts'
import { checkpointKeyName, checkpointOrigin } from '../../audit/checkpoint.ts'
import { slotFolder } from '../../audit/places.ts'
import { signingKeyEvent } from '../../audit/signing-key.ts'
import { isoTime } from '../../core/iso-time.ts'
import type { Logger } from '../../platform/logger.ts'
import type { ReportedFault } from '../../platform/reported-fault.ts'
import { openCheckpoints, type Checkpoints } from '../audit/checkpoints.ts'
import type { Append, AuditLog } from '../audit/group-commit.ts'
import { openAuditLog, type AuditLogOptions } from '../audit/writer.ts'
import { startKeeper, type Keeper } from '../audit-keeper/keeper.ts'
import type { KeeperData, KeeperShipping } from '../audit-keeper/words.ts'
import { shippedFrom, shippingTarget } from '../audit-shipping/target.ts'
import { SERVICE, type Ground } from './ground.ts'

export type StartedSlot = {
  readonly folder: string
  readonly auditLog: AuditLog
  readonly checkpoints: Checkpoints
  readonly keeper: Keeper
}

/** What metrics count. */
export type SlotCounts = Pick<AuditLogOptions, 'onDropped' | 'onWritten' | 'onLost' | 'onSegment'>

type SlotOptions = {
  readonly slot: number
  readonly keep: KeeperData['keep']
  readonly log: Logger
  /** What is opened is registered here. */
  readonly opened: AsyncDisposableStack
  readonly counts?: SlotCounts
  /** Only for a slot that takes no calls: what its keeper has said in an earlier turn. */
  readonly keeperFault?: ReportedFault
}

type SlotGround = Pick<Ground, 'config' | 'env' | 'now' | 'monotonic' | 'metrics' | 'credentials'>

/** @throws {AuditFileError | Error} like openAuditLog */
export async function startSlot(ground: SlotGround, options: SlotOptions): Promise<StartedSlot> {
  const { config, now, monotonic, credentials } = ground
  const { slot, log, opened, counts, keeperFault } = options
  const folder = slotFolder(config.auditDir, slot)
  const data = keeperData(ground, folder, options)
  const durable = new BigUint64Array(data.durableSeq)
  // What follows the log is opened after it.
  const followers: { checkpoints?: Checkpoints; keeper?: Keeper } = {}
  // Closed after the log, whose last records it covers.
  opened.defer(() => followers.checkpoints?.close())
  const auditLog = opened.adopt(
    await openAuditLog({
      ...{ folder, now, monotonic, log, ...counts },
      sync: config.auditSync,
      limits: config.auditLimits,
      signer: config.auditSigner,
      onHead(head) {
        Atomics.store(durable, 0, BigInt(head.seq))
        followers.checkpoints?.seen(head)
        followers.keeper?.wake()
      },
    }),
    (it) => it.close(),
  )
  Atomics.store(durable, 0, BigInt(auditLog.health().head.seq))
  const checkpoints = await openCheckpoints(checkpointOptions(ground, folder, options), auditLog.health().head)
  // Without calls there is nothing to refuse.
  const audit =
    keeperFault === undefined ? auditLog : { append: auditLog.append.bind(auditLog), refuse: () => undefined }
  const watched = { data, audit, log, now, credentials, ...(keeperFault !== undefined && { fault: keeperFault }) }
  const keeper = opened.adopt(startKeeper(watched), (it) => it.close())
  Object.assign(followers, { checkpoints, keeper })
  return { folder, auditLog, checkpoints, keeper }
}

/** Names the key that signs the checkpoints, if there is one. @throws {AppError} as `append` */
export async function recordSigningKey({ config, now }: Pick<Ground, 'config' | 'now'>, append: Append): Promise<void> {
  if (config.auditSigner !== undefined)
    await append(signingKeyEvent(config.auditSigner, isoTime(now())), { patient: true })
}

/** Where this controller ships its records to. */
export function shippingOf({ config, env }: Pick<Ground, 'config' | 'env'>): KeeperShipping[] {
  const { auditStream, nats, controllerId } = config
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

function keeperData(ground: SlotGround, folder: string, { slot, keep }: SlotOptions): KeeperData {
  const { config } = ground
  const durableSeq = new SharedArrayBuffer(8)
  const rules = { keep, keepOfAll: config.auditKeep, full: config.auditFull, minFree: config.auditMinFree }
  return { folder, slot, ...rules, shipping: shippingOf(ground), durableSeq }
}

function checkpointOptions(
  { config, now, monotonic, metrics }: SlotGround,
  folder: string,
  { slot, log }: Pick<SlotOptions, 'slot' | 'log'>,
) {
  const { controllerId, auditSigner: signer } = config
  const origin = checkpointOrigin(checkpointKeyName(controllerId), slot)
  return { folder, origin, signer, now, monotonic, log, onFailed: metrics.auditCheckpointFailed }
}
