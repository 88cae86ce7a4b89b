// Starts the SLOs: the files, their watch, what is counted by them, and their metrics.
import { ConfigError } from '../../platform/setting-fault.ts'
import { loadSloFolder, signatureOfSlos, SloFilesError } from '../../slo/slo-folder.ts'
import type { Slo } from '../../slo/slo.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import { createSloMetrics } from '../slo/metrics-slo.ts'
import { createSloSet, type SloSet } from '../slo/slo-set.ts'
import { watchSloFolder } from '../slo/slo-watch.ts'
import type { Ground } from './ground.ts'

export type StartedSlos = Pick<SloSet, 'ended' | 'refuse'> & {
  /** What an operator has to fix; undefined: nothing. */
  readonly note: () => string | undefined
}

/** @throws {ConfigError} with every fault of the files: a controller does not start without the objectives it is given */
export async function startSlos(ground: Ground, policy: LivePolicy): Promise<StartedSlos> {
  const { config, log, opened, metricsRegistry, sloClock: monotonic } = ground
  const { sloPlace: place } = config
  const seen = await signatureOfSlos(place).catch(refuse)
  const slos = await loadSloFolder(place).catch(refuse)
  const set = createSloSet({ monotonic, random: Math.random })
  const unknown = (): string[] => {
    const { knownCapabilities } = policy.files()
    return [...set.all()].map(([capability]) => capability).filter((capability) => !knownCapabilities.has(capability))
  }
  const follow = (next: readonly Slo[]): void => {
    set.follow(next)
    const strange = unknown()
    log.info({ event: 'slos_loaded', count: next.length }, 'service level objectives are in force')
    if (strange.length === 0) return
    log.warn({ event: 'slo_capability_unknown', capabilities: strange }, 'no manifest names a capability with an SLO')
  }
  follow(slos)
  const watch = opened.adopt(
    watchSloFolder({
      place,
      seen,
      onChange(next) {
        follow(next)
        metrics.reloaded('ok')
      },
      onFault(reason) {
        log.error({ event: 'slo_change_refused', reason }, 'SLO change refused; the last good SLOs stay in force')
        metrics.reloaded('failed')
      },
      onFixed: () => log.info({ event: 'slo_files_fixed' }, 'the SLO files are in force again'),
    }),
    ({ close }) => close(),
  )
  const faults = (): number => watch.fault()?.split('\n').length ?? 0
  const metrics = createSloMetrics(metricsRegistry, { all: set.all, faults, monotonic })
  return { ended: set.ended, refuse: set.refuse, note: () => noteOf(watch.fault(), unknown()) }
}

function noteOf(fault: string | undefined, unknown: readonly string[]): string | undefined {
  if (fault !== undefined) return `the SLO files on disk are not in force: ${fault.replaceAll('\n', '; ')}`
  if (unknown.length > 0) return `no manifest names ${unknown.join(', ')}, which an SLO is for`
  return undefined
}

function refuse(cause: unknown): never {
  throw cause instanceof SloFilesError ? new ConfigError(cause.faults) : cause
}
