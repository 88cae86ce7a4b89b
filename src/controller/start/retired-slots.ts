// The audit logs of processes that no longer run, because CRANK_PROCESSES was larger: the first process compresses, ships and
// removes their segments by the same rules. One after the other, so that many need no more memory than one; none stops anything.
import { setTimeout as delay } from 'node:timers/promises'
import { slotFolder, slotsIn } from '../../audit/places.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import { workOf } from '../audit-keeper/retired-work.ts'
import type { KeeperReport } from '../audit-keeper/words.ts'
import type { Ground } from './ground.ts'
import { shippingOf, startSlot } from './start-slot.ts'

const LOOK_MS = 600_000
const POLL_MS = 1000
/** A target that is away must not keep the others waiting forever; each turn adds a record to the log. */
const TURN_MS = 3_600_000
/** A full disk takes no record, for which it would be waited. */
const CLOSE_MS = 4000
/** As a key: the folder of all slots. */
const ALL = -1

export class RetiredSlots {
  readonly #ground: Ground
  readonly #ending = new AbortController()
  readonly #faults = new Map<number, ReturnType<typeof createReportedFault>>()
  readonly #known = new Map<string, number>()
  #report: () => KeeperReport | undefined = () => undefined
  #running: Promise<void> | undefined

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Looks at them now, and again every ten minutes. Never throws. */
  start(): void {
    // One process is enough.
    if ((this.#ground.siblings?.slot ?? 0) === 0) this.#running ??= this.#run()
  }

  /** What the last look at the one that is open now found. */
  report(): KeeperReport | undefined {
    return this.#report()
  }

  async close(): Promise<void> {
    this.#ending.abort()
    if (this.#running !== undefined) await within(CLOSE_MS, this.#running)
  }

  async #run(): Promise<void> {
    const { config, of } = this.#ground
    while (!this.#ending.signal.aborted) {
      await this.#reported(ALL, async () => {
        for (const slot of slotsIn(config.auditDir)) {
          if (slot >= of && !this.#ending.signal.aborted) await this.#reported(slot, () => this.#keepInOrder(slot))
        }
      })
      await this.#pause(LOOK_MS)
    }
  }

  async #reported(slot: number, work: () => Promise<void>): Promise<void> {
    const fault = this.#faults.get(slot) ?? createReportedFault()
    this.#faults.set(slot, fault)
    try {
      await work()
      fault.end()
    } catch (err: unknown) {
      if (this.#ending.signal.aborted || !fault.isNews(String(err))) return
      const message = 'an audit log of a process that no longer runs stays as it is: not shipped, not removed'
      this.#ground.log.warn({ event: 'audit_slot_not_kept', slot: slot === ALL ? null : slot, err }, message)
    }
  }

  async #keepInOrder(slot: number): Promise<void> {
    const { log, monotonic } = this.#ground
    const work = await this.#workOf(slot)
    if (work === undefined) return
    await using opened = new AsyncDisposableStack()
    opened.defer(() => void (this.#report = () => undefined))
    const started = await startSlot(this.#ground, { slot, keep: work.keep, log: log.child({ slot }), opened })
    this.#report = started.keeper.report.bind(started.keeper)
    // What was the newest segment is complete from now on.
    await started.auditLog.rotate()
    const endMs = monotonic() + TURN_MS
    while (!this.#ending.signal.aborted && monotonic() < endMs && (await this.#workOf(slot)) !== undefined) {
      await this.#pause(POLL_MS)
    }
  }

  #workOf(slot: number): ReturnType<typeof workOf> {
    const { config, now } = this.#ground
    const targets = shippingOf(this.#ground).map(({ to }) => to)
    const rules = { keep: config.auditKeep, targets, nowMs: now(), known: this.#known }
    return workOf(slotFolder(config.auditDir, slot), rules)
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#ending.signal, ref: false }).catch(() => undefined)
  }
}
