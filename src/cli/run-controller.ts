// `crank controller`: the controller's process: configuration, start, orderly shutdown.
import { loadControllerConfig, type ControllerConfig } from '../controller/config.ts'
import { joinParent, SERVICE, startController, type Seat } from '../controller/main.ts'
import { refuseWeakening } from '../platform/env.ts'
import { createProcessLog, type ProcessLog } from '../platform/logger.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { endInOrder, guardProcess, type EndNow } from '../platform/process-guard.ts'
import { joinServiceManager } from '../platform/service-manager.ts'
import { warnOfUnknown } from '../platform/setting-names.ts'
import { outliveStandardStreams } from '../platform/standard-streams.ts'
import { startFailure } from './start-failure.ts'
import { environment } from './environment.ts'

/** After the drain: closing the listeners, the last audit records, spans. */
const CLOSE_MARGIN_MS = 7000

/** Resolves when both listeners are open. @throws {CliError} or {ConfigError} when it cannot start */
export async function runController(flags: Record<string, string | undefined>): Promise<void> {
  const config = prepareProcess(flags)
  if (config.processes === 1) {
    await serve(config, openLog(config))
    return
  }
  const { runParent } = await import('./run-parent.ts')
  await runParent({ config, flags, processLog: openLog(config), endMs: endMsOf(config) })
}

/** Runs one of several processes that serve. `ports`: those that the first one has got. Resolves and throws as runController. */
export async function runControllerProcess(
  flags: Record<string, string | undefined>,
  seat: Seat,
  ports?: { readonly port: number; readonly adminPort: number },
): Promise<void> {
  const config = prepareProcess(flags)
  const { listen, admin } = config
  const placed =
    ports === undefined
      ? config
      : { ...config, listen: { ...listen, port: ports.port }, admin: { ...admin, port: ports.adminPort } }
  await serve(placed, openLog(config, seat.slot), seat)
}

function prepareProcess(flags: Record<string, string | undefined>): ControllerConfig {
  guardProcess()
  refuseWeakening(environment(), process.execArgv)
  return loadControllerConfig({ env: environment(), flags })
}

function openLog({ logLevel: level, processes }: ControllerConfig, slot?: number): ProcessLog {
  const service = serviceName(environment(), SERVICE)
  const processLog = createProcessLog({ level, service, slot, isShared: processes > 1 })
  outliveStandardStreams(processLog.log)
  if (slot === undefined) warnOfUnknown(processLog.log, environment())
  return processLog
}

function endMsOf({ lameDuckMs, drainTimeoutMs }: ControllerConfig): number {
  return lameDuckMs + drainTimeoutMs + CLOSE_MARGIN_MS
}

async function serve(config: ControllerConfig, processLog: ProcessLog, seat?: Seat): Promise<void> {
  const { log } = processLog
  // Where there are several processes, the parent speaks for all.
  const manager = seat === undefined ? joinServiceManager({ env: environment(), log }) : undefined
  // Nothing is lost while no listener is open.
  let endNow: EndNow = () => process.exit()
  const siblings = seat && joinParent({ port: process, seat, log, end: (signal) => endNow(signal) })
  if (seat !== undefined) process.on('disconnect', () => endNow('SIGINT'))
  const starting = startController({
    config,
    env: environment(),
    processLog,
    ...(siblings !== undefined && { siblings }),
    beforeListening() {
      endNow = endInOrder({
        delayMs: endMsOf(config),
        async close({ err, signal }) {
          if (err !== undefined) {
            log.fatal({ event: 'controller_crashed', err }, 'controller stops after an unexpected error')
          }
          manager?.stopping()
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
  const { port } = await starting.catch((cause: unknown) => {
    // A person reads the reason on stderr; a log collector needs it as a log line.
    if (!process.stdout.isTTY) log.fatal({ event: 'controller_start_failed', err: cause }, 'controller cannot start')
    throw startFailure('the controller', cause)
  })
  manager?.ready(`listens on port ${port}`)
}
