// `crank controller` with CRANK_PROCESSES above 1: the parent of the processes that serve.
import type { ControllerConfig } from '../controller/config.ts'
import { ChildStartError, startParent } from '../controller/parent.ts'
import type { ProcessLog } from '../platform/logger.ts'
import { endInOrder } from '../platform/process-guard.ts'
import { joinServiceManager } from '../platform/service-manager.ts'
import { threadEntry } from '../platform/thread/thread.ts'
import { environment } from './environment.ts'
import { startFailure } from './start-failure.ts'

type RunParentOptions = {
  readonly config: ControllerConfig
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly processLog: ProcessLog
  /** How long a process may take to end. */
  readonly endMs: number
}

const ENTRY = threadEntry('controller-process', import.meta.url)
const CLOSE_MARGIN_MS = 3000

/** Resolves when all processes serve. @throws {CliError} or {ConfigError} when they cannot start */
export async function runParent({ config, flags, processLog, endMs }: RunParentOptions): Promise<void> {
  const { log } = processLog
  const manager = joinServiceManager({ env: environment(), log })
  const starting = startParent({
    ...{ config, flags, log, endMs },
    entry: ENTRY,
    env: environment(),
    beforeStarting() {
      endInOrder({
        delayMs: endMs + CLOSE_MARGIN_MS,
        async close({ err, signal }) {
          if (err !== undefined)
            log.fatal({ event: 'controller_crashed', err }, 'controller stops after an unexpected error')
          manager.stopping()
          // A signal to the whole group may have ended a process before it could serve: that is no failed start.
          const parent = await starting.catch(() => undefined)
          await parent?.close(signal === 'SIGTERM' ? 'SIGTERM' : 'SIGINT')
          await processLog.flush()
        },
      })
    },
  })
  const parent = await starting.catch((cause: unknown) => {
    // It has said why.
    if (cause instanceof ChildStartError && cause.code !== null) {
      process.exitCode = cause.code
      return undefined
    }
    throw startFailure('the controller', cause)
  })
  // A process that hangs is killed and replaced here; without any that serves, all of it had better start again.
  if (parent !== undefined) {
    manager.ready(`listens on port ${parent.port} with ${config.processes} processes`, () => parent.serving() > 0)
  }
}
