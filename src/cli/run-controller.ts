// `crank controller`: the process around the controller: configuration, start, orderly end.
import closeWithGrace from 'close-with-grace'
import { loadControllerConfig } from '../controller/config.ts'
import { startController } from '../controller/main.ts'
import { refuseWeakening } from '../platform/env.ts'
import { say } from './output.ts'
import { startFailure } from './start-failure.ts'

/** Beyond the drain: closing the listeners, the last audit records, spans. */
const CLOSE_MARGIN_MS = 7000

/** Resolves when both listeners are open. @throws {CliError} or {ConfigError} when it cannot start */
export async function runController(flags: Record<string, string | undefined>): Promise<void> {
  refuseWeakening(process.env, process.execArgv)
  const config = loadControllerConfig({ env: process.env, flags })
  const controller = await startController({ config, env: process.env }).catch((cause: unknown) => {
    throw startFailure('the controller', cause)
  })
  closeWithGrace({ delay: config.drainTimeoutMs + CLOSE_MARGIN_MS, logger: false }, async ({ err }) => {
    if (err !== undefined) say(`the controller stops after an unexpected error: ${err.stack ?? err.message}`)
    await controller.close()
  })
}
