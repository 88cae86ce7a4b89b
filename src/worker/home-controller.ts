// Which controller of a mesh gets the heartbeats of a worker: the one that answered last, and none that has lost its mesh while
// there is another.
import type { Logger } from '../platform/logger.ts'
import type { Preference } from './controllers/endpoints.ts'

type Home = {
  readonly preference: () => Preference
  readonly registeredAt: (at: { readonly controller: string; readonly intervalMs: number }, workerId: string) => void
  readonly acknowledged: (heartbeat: { readonly controller: string; readonly isAway: boolean }) => void
}

/** For so many heartbeats a controller that has lost its mesh is asked last. */
const AWAY_BEATS = 6

export function createHome(log: Logger): Home {
  let home: string | undefined
  let beat = 0
  /** By name: the heartbeat from which on it is asked like the others again. */
  const away = new Map<string, number>()

  function noteAway(controller: string, isAway: boolean): void {
    const isNews = isAway !== away.has(controller)
    if (isAway) away.set(controller, beat + AWAY_BEATS)
    else away.delete(controller)
    if (!isNews) return
    if (isAway) log.warn({ event: 'controller_mesh_away', controller }, 'the controller has lost its mesh')
    else log.info({ event: 'controller_mesh_back', controller }, 'the controller is in its mesh again')
  }

  return {
    preference: () => ({
      first: home,
      last: new Set([...away].filter(([, untilBeat]) => untilBeat > beat).map(([controller]) => controller)),
    }),
    registeredAt({ controller, intervalMs }, worker_id) {
      log.info({ event: 'worker_registered', worker_id, controller, interval_ms: intervalMs }, 'registered')
      home = controller
    },
    acknowledged({ controller, isAway }) {
      beat += 1
      noteAway(controller, isAway)
      if (controller === home) return
      log.info({ event: 'worker_heartbeats_moved', controller, from: home }, 'another controller gets the heartbeats')
      home = controller
    },
  }
}
