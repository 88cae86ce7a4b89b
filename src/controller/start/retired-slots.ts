// The audit logs of processes that no longer run, because CRANK_PROCESSES was larger: the first process compresses, ships and
// removes their segments by the same rules. One after the other, so that many need no more memory than one; none stops anything.
import { setTimeout as delay } from 'node:timers/promises'
import { slotFolder, slotsIn } from '../../audit/places.ts'
import { createReportedFault, type ReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import { lookAtRetired, type RetiredLook } from '../audit-keeper/retired-look.ts'
import type { Keeper } from '../audit-keeper/keeper.ts'
import type { KeeperReport } from '../audit-keeper/words.ts'
import type { ShippingStanding } from '../audit-shipping/shipper.ts'
import type { Ground } from './ground.ts'
import { recordSigningKey, shippingOf, startSlot, type StartedSlot } from './start-slot.ts'

type Counts = Pick<ShippingStanding, 'accepted' | 'rejected' | 'missed'>

/** `shipping`: as its keeper said last. */
type Kept = {
  readonly known: Set<number>
  readonly fault: ReportedFault
  readonly keeperFault: ReportedFault
  look: RetiredLook | undefined
  shipping: readonly ShippingStanding[]
}

const LOOK_MS = 600_000
/** A target that is away must not keep the other slots waiting for longer. */
const TURN_MS = 600_000
const POLL_MS = 1000
/** A full disk takes no record, for which it would be waited. */
const CLOSE_MS = 4000

/** Invariant: at most one slot is open. */
export class RetiredSlots {
  readonly #ground: Ground
  readonly #ending = new AbortController()
  readonly #slots = new Map<number, Kept>()
  readonly #folderFault = createReportedFault()
  /** What earlier turns have shipped, by target. */
  readonly #counts = new Map<string, Counts>()
  #open: Keeper | undefined
  #running: Promise<void> | undefined

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Looks at them now, and again every ten minutes. Never throws. */
  start(): void {
    // One process is enough.
    if ((this.#ground.siblings?.slot ?? 0) === 0) this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#ending.abort()
    if (this.#running !== undefined) await within(CLOSE_MS, this.#running)
  }

  /** What all of them have together. `oldestMs`: Infinity if they have nothing. */
  disk(): { readonly bytes: number; readonly oldestMs: number } {
    const looks = [...this.#slots.values()].flatMap(({ look }) => look ?? [])
    const bytes = looks.reduce((all, look) => all + look.bytes, 0)
    return { bytes, oldestMs: Math.min(Infinity, ...looks.map(({ oldestMs = Infinity }) => oldestMs)) }
  }

  /** The standing of the own slot, and of these slots together. */
  added(own: ShippingStanding): ShippingStanding {
    const isSame = ({ target }: ShippingStanding): boolean => target === own.target
    const open = this.#open?.report()?.shipping.filter(isSame) ?? []
    const lags = [...this.#slots.values()].flatMap(({ shipping }) => shipping.filter(isSame))
    const counts = [own, this.#counts.get(own.target) ?? NONE, ...open]
    return {
      ...own,
      lagRecords: lags.reduce((all, { lagRecords }) => all + lagRecords, own.lagRecords),
      oldestUnshippedMs: Math.max(own.oldestUnshippedMs, ...lags.map(({ oldestUnshippedMs }) => oldestUnshippedMs)),
      ...countsOf(counts),
    }
  }

  async #run(): Promise<void> {
    const { config, of, log } = this.#ground
    while (!this.#ending.signal.aborted) {
      try {
        const slots = slotsIn(config.auditDir).filter((slot) => slot >= of)
        // Somebody may have moved a folder away.
        for (const slot of this.#slots.keys()) if (!slots.includes(slot)) this.#slots.delete(slot)
        for (const slot of slots) await this.#attempt(slot)
        this.#folderFault.end()
      } catch (err: unknown) {
        const message = 'the folder of the audit logs cannot be read'
        if (this.#folderFault.isNews(String(err))) log.warn({ event: 'audit_slot_not_kept', slot: null, err }, message)
      }
      await this.#pause(LOOK_MS)
    }
  }

  async #attempt(slot: number): Promise<void> {
    const kept = this.#slots.get(slot) ?? newKept()
    this.#slots.set(slot, kept)
    try {
      kept.look = await this.#lookAt(slot, kept)
      const { work, faults } = kept.look
      if (work !== undefined && !this.#ending.signal.aborted) {
        await this.#takeTurn(slot, kept, work)
        kept.look = await this.#lookAt(slot, kept)
      }
      if (kept.look.work === undefined) kept.shipping = []
      if (faults.length > 0) throw new Error(faults.join('; '))
      kept.fault.end()
    } catch (err: unknown) {
      if (this.#ending.signal.aborted || !kept.fault.isNews(String(err))) return
      const message = 'an audit log of a process that no longer runs is not shipped or removed as it should be'
      this.#ground.log.warn({ event: 'audit_slot_not_kept', slot, err }, message)
    }
  }

  #lookAt(slot: number, { known }: Kept): Promise<RetiredLook> {
    const { config, now } = this.#ground
    const targets = shippingOf(this.#ground).map(({ to }) => to)
    const { auditDir, auditKeep: keep, auditFull: full, auditMinFree: minFree } = config
    return lookAtRetired(slotFolder(auditDir, slot), { keep, full, minFree, targets, nowMs: now() }, known)
  }

  async #takeTurn(slot: number, kept: Kept, { begins, keep }: NonNullable<RetiredLook['work']>): Promise<void> {
    await using opened = new AsyncDisposableStack()
    const log = this.#ground.log.child({ audit_slot: slot })
    const started = await startSlot(this.#ground, { slot, keep, log, opened, keeperFault: kept.keeperFault })
    this.#open = started.keeper
    opened.defer(() => this.#ended(kept, started.keeper))
    if (begins) void this.#begin(started)
    await this.#untilSettled(kept, started.keeper)
  }

  /** What was the newest segment is complete from now on. A disk that has no room for it: the keeper makes some. */
  async #begin({ auditLog }: StartedSlot): Promise<void> {
    const rotated = this.#ground.config.auditSigner === undefined ? auditLog.rotate() : undefined
    const named = recordSigningKey(this.#ground, auditLog.append.bind(auditLog))
    await Promise.allSettled([rotated, named])
  }

  /** Two looks that found nothing more to do: the first may have begun before the new segment. */
  async #untilSettled(kept: Kept, keeper: Keeper): Promise<void> {
    const { monotonic } = this.#ground
    const endMs = monotonic() + TURN_MS
    let [settled, last] = [0, keeper.report()]
    while (settled < 2 && monotonic() < endMs && !this.#ending.signal.aborted) {
      await this.#pause(POLL_MS)
      const report = keeper.report()
      if (report === undefined || report === last) continue
      last = report
      kept.shipping = report.shipping
      settled = isSettled(report) ? settled + 1 : 0
      if (settled > 0) keeper.wake()
    }
  }

  #ended(kept: Kept, keeper: Keeper): void {
    this.#open = undefined
    const report = keeper.report()
    // A turn that ended before the first look has counted nothing.
    if (report === undefined) return
    kept.shipping = report.shipping
    for (const standing of report.shipping) {
      const { target } = standing
      this.#counts.set(target, countsOf([this.#counts.get(target) ?? NONE, standing]))
    }
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#ending.signal, ref: false }).catch(() => undefined)
  }
}

function newKept(): Kept {
  return {
    known: new Set(),
    fault: createReportedFault(),
    keeperFault: createReportedFault(),
    look: undefined,
    shipping: [],
  }
}

const NONE: Counts = { accepted: 0, rejected: 0, missed: 0 }

function countsOf(all: readonly Counts[]): Counts {
  const sum = (name: keyof Counts): number => all.reduce((total, counts) => total + counts[name], 0)
  return { accepted: sum('accepted'), rejected: sum('rejected'), missed: sum('missed') }
}

function isSettled({ more, removable, shipping }: KeeperReport): boolean {
  return !more && removable === undefined && shipping.every(({ lagRecords }) => lagRecords === 0)
}
