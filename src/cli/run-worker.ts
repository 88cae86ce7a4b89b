// `crank worker <name>`: starts one of the bundled workers.
import { startWorkerProcess } from '../worker/main.ts'
import { workerNames, workerNamed } from '../workers/registry.ts'
import { CliError, EXIT } from './exit.ts'
import { startFailure } from './start-failure.ts'

/** Resolves when the worker listens. @throws {CliError} or {ConfigError} when it cannot start */
export async function runNamedWorker(name: string, flags: Record<string, string | undefined>): Promise<void> {
  const worker = workerNamed(name.replaceAll('-', '_'))
  if (worker === undefined) {
    throw new CliError(EXIT.usage, `there is no worker "${name}": must be one of ${workerNames.join(', ')}`)
  }
  await startWorkerProcess(worker, { env: process.env, flags }).catch((cause: unknown) => {
    throw startFailure(`the worker ${name}`, cause)
  })
}
