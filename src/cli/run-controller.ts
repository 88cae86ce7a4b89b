// `crank controller`: the process around the controller: configuration, start, orderly end.
import { loadControllerConfig } from '../controller/config.ts'
import { SERVICE, startController } from '../controller/main.ts'
import { refuseWeakening } from '../platform/env.ts'
import { createProcessLog } from '../platform/logger.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { endInOrder, guardProcess } from '../platform/process-guard.ts'
import { warnOfUnknown } from '../platform/setting-names.ts'
import { outliveStandardStreams } from '../platform/standard-streams.ts'
import { startFailure } from './start-failure.ts'

/** Beyond the drain: closing the listeners, the last audit records, spans. */
const CLOSE_MARGIN_MS = 7000

/** Resolves when both listeners are open. @throws {CliError} or {ConfigError} when it cannot start */
export async function runController(flags: Record<string, string | undefined>): Promise<void> {
  guardProcess()
  refuseWeakening(process.env, process.execArgv)
  const config = loadControllerConfig({ env: process.env, flags })
  const processLog = createProcessLog({ level: config.logLevel, service: serviceName(process.env, SERVICE) })
  const { log } = processLog
  outliveStandardStreams(log)
  warnOfUnknown(log, process.env)
  const starting = startController({
    config,
    env: process.env,
    processLog,
    beforeListening() {
      endInOrder({
        delayMs: config.drainTimeoutMs + CLOSE_MARGIN_MS,
        async close({ err }) {
          if (err !== undefined) {
            log.fatal({ event: 'controller_crashed', err }, 'controller stops after an unexpected error')
          }
          // A signal may come between the first listener and the end of the start.
          const controller = await starting
          await controller.close(err === undefined ? 'stopped' : 'crashed')
          await processLog.flush()
        },
      })
    },
  })
  await starting.catch((cause: unknown) => {
    // A person reads why on stderr; where lines are collected, it is one of them.
    if (!process.stdout.isTTY) log.fatal({ event: 'controller_start_failed', err: cause }, 'controller cannot start')
    throw startFailure('the controller', cause)
  })
}
