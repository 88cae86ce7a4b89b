// `crank controller`: the controller's process: configuration, start, orderly shutdown.
import { loadControllerConfig } from '../controller/config.ts'
import { SERVICE, startController } from '../controller/main.ts'
import { refuseWeakening } from '../platform/env.ts'
import { createProcessLog } from '../platform/logger.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { endInOrder, guardProcess } from '../platform/process-guard.ts'
import { warnOfUnknown } from '../platform/setting-names.ts'
import { outliveStandardStreams } from '../platform/standard-streams.ts'
import { startFailure } from './start-failure.ts'
import { environment } from './environment.ts'

/** After the drain: closing the listeners, the last audit records, spans. */
const CLOSE_MARGIN_MS = 7000

/** Resolves when both listeners are open. @throws {CliError} or {ConfigError} when it cannot start */
export async function runController(flags: Record<string, string | undefined>): Promise<void> {
  guardProcess()
  refuseWeakening(environment(), process.execArgv)
  const config = loadControllerConfig({ env: environment(), flags })
  const processLog = createProcessLog({ level: config.logLevel, service: serviceName(environment(), SERVICE) })
  const { log } = processLog
  outliveStandardStreams(log)
  warnOfUnknown(log, environment())
  const starting = startController({
    config,
    env: environment(),
    processLog,
    beforeListening() {
      endInOrder({
        delayMs: config.lameDuckMs + config.drainTimeoutMs + CLOSE_MARGIN_MS,
        async close({ err, signal }) {
          if (err !== undefined) {
            log.fatal({ event: 'controller_crashed', err }, 'controller stops after an unexpected error')
          }
          // A signal may arrive between the first listener and the end of the start.
          const controller = await starting
          // Only an orchestrator gives callers somewhere else to go; at a terminal nobody wants to wait.
          if (signal === 'SIGTERM') await controller.leave()
          await controller.close(err === undefined ? 'stopped' : 'crashed')
          await processLog.flush()
        },
      })
    },
  })
  await starting.catch((cause: unknown) => {
    // A person reads the reason on stderr; a log collector needs it as a log line.
    if (!process.stdout.isTTY) log.fatal({ event: 'controller_start_failed', err: cause }, 'controller cannot start')
    throw startFailure('the controller', cause)
  })
}
