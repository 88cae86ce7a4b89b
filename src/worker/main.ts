// The process of one worker: configuration, log, traces, credentials, the worker, and an orderly shutdown.
import { resolve } from 'node:path'
import { refuseWeakening, type ConfigSource } from '../platform/env.ts'
import { ConfigError, fault } from '../platform/setting-fault.ts'
import { openCredentials } from '../platform/open-credentials.ts'
import { createProcessLog, type ProcessLog } from '../platform/logger.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { endInOrder, guardProcess } from '../platform/process-guard.ts'
import { joinServiceManager } from '../platform/service-manager.ts'
import { warnOfUnknown } from '../platform/setting-names.ts'
import { outliveStandardStreams } from '../platform/standard-streams.ts'
import { createTracing } from '../platform/tracing/tracing.ts'
import { VERSION } from '../platform/version.ts'
import { loadWorkerConfig, type WorkerConfig } from './config.ts'
import type { WorkerDefinition } from './define.ts'
import { runWorker, type RunningWorker } from './run.ts'

// Deregister 2 s, drain 10 s, close 1 s, flush spans 3 s, plus a margin.
const CLOSE_DELAY_MS = 17_000

/**
 * `stateDir`: a worker keeps persistent data in a folder of its name below it. It may be missing; each replica has its
 * own.
 */
export type WorkerPlace = { readonly stateDir: string }
/** Creates a worker that needs its place for its definition. */
export type MakeWorker = (place: WorkerPlace) => WorkerDefinition | Promise<WorkerDefinition>

/**
 * Runs a worker until SIGTERM or SIGINT. Resolves when it listens; it registers as soon as the controller is
 * available.
 * @throws {ConfigError} with all faults; {Error} when certificates cannot be read or the port is in use.
 */
export async function startWorkerProcess(
  worker: WorkerDefinition | MakeWorker,
  { version = VERSION, ...configSource }: ConfigSource & { version?: string },
): Promise<RunningWorker> {
  guardProcess()
  refuseWeakening(configSource.env, process.execArgv)
  const config = loadWorkerConfig(configSource)
  const place = { stateDir: resolve(config.stateDir, 'workers', config.instance ?? '') }
  const definition = typeof worker === 'function' ? await worker(place) : worker
  const service = `crank-${definition.id}`
  const processLog = createProcessLog({ level: config.logLevel, service: serviceName(configSource.env, service) })
  const { log } = processLog
  outliveStandardStreams(log)
  warnOfUnknown(log, configSource.env)
  try {
    return await start(definition, { config, processLog, env: configSource.env, service, version })
  } catch (err: unknown) {
    // A person reads the reason on stderr; a log collector needs it as a log line.
    if (!process.stdout.isTTY) log.fatal({ event: 'worker_start_failed', err }, 'worker cannot start')
    throw err
  }
}

type Process = {
  config: WorkerConfig
  processLog: ProcessLog
  env: NodeJS.ProcessEnv
  service: string
  version: string
}

async function start(
  definition: WorkerDefinition,
  { config, processLog, env, service, version }: Process,
): Promise<RunningWorker> {
  const { log, droppedLines } = processLog
  const source = await openCredentials(config.identity, { now: Date.now, log })
  const tracing = await createTracing({ service, version, env, log })
  const manager = joinServiceManager({ env, log })
  const options = { config, log, droppedLines, tracing, source, now: Date.now, random: Math.random }
  const starting = runWorker(definition, options).catch((error: unknown) => {
    throw portTaken(error) ? new ConfigError([fault('CRANK_WORKER_PORT', String(config.port), 'is taken')]) : error
  })
  endInOrder({
    delayMs: CLOSE_DELAY_MS,
    async close({ err }) {
      if (err !== undefined) log.fatal({ event: 'worker_crashed', err }, 'worker stops after an unexpected error')
      manager.stopping()
      await (await starting).close()
      source.close()
      await tracing.shutdown()
      await processLog.flush()
    },
  })
  const worker = await starting
  // It need not be registered: a unit may be started before its controller.
  manager.ready(`listens at ${worker.url}`)
  return worker
}

function portTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
