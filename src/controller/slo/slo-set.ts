// On the path of every call. The SLOs in force, by capability: a capability without one costs a map lookup.
import type { Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import type { Slo } from '../../slo/slo.ts'
import { gradeOf, type CallEnd } from './call-grade.ts'
import { Shedding } from './shedding.ts'
import { SloTrack } from './slo-track.ts'

export type WatchedSlo = { readonly track: SloTrack; readonly shedding: Shedding }

export type SloSet = {
  /** Replaces the SLOs. Capabilities that keep theirs keep what was counted. */
  readonly follow: (slos: readonly Slo[]) => void
  /** An authorised call ended. */
  readonly ended: (capability: Capability, end: CallEnd) => void
  /** Whether to refuse a call so that others get through: seconds after which to try again, or undefined to let it pass. */
  readonly refuse: (capability: Capability, priority: Priority) => number | undefined
  readonly all: () => Iterable<readonly [Capability, WatchedSlo]>
}

type SloSetDeps = { readonly monotonic: () => number; readonly random: () => number }

export function createSloSet({ monotonic, random }: SloSetDeps): SloSet {
  let watched: ReadonlyMap<Capability, WatchedSlo> = new Map()
  return {
    follow(slos) {
      const nowMs = monotonic()
      watched = new Map(slos.map((slo) => [slo.capability, keptOrNew(watched.get(slo.capability), slo, nowMs)]))
    },
    ended(capability, end) {
      const found = watched.get(capability)
      if (found === undefined) return
      const grade = gradeOf(end)
      if (grade !== 'skipped') found.track.record(grade, end.firstByteMs, monotonic())
    },
    refuse(capability, priority) {
      if (priority === 'high') return undefined
      return watched.get(capability)?.shedding.refuse(priority, monotonic())
    },
    all: () => watched.entries(),
  }

  function keptOrNew(kept: WatchedSlo | undefined, slo: Slo, nowMs: number): WatchedSlo {
    if (kept === undefined) {
      const track = new SloTrack(slo, nowMs)
      return { track, shedding: new Shedding({ track, random }) }
    }
    kept.track.follow(slo, nowMs)
    return kept
  }
}
