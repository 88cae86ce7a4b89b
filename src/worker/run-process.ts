// The main file of a worker calls it: runs the worker, and reports a failed start in the format of the command line.
import { printable } from '../core/printable.ts'
import { startWorkerProcess, type MakeWorker } from './main.ts'
import type { WorkerDefinition } from './define.ts'

const EXIT = { usage: 2, internal: 5 } as const
/** Errors that an operator can fix. Any other error is a fault of the program and is shown with its stack. */
const EXPECTED = new Set(['AppError', 'ConfigError', 'DefinitionError', 'Error'])

/**
 * Runs a worker until SIGTERM or SIGINT. `env` holds its settings, such as CONTROLLER_URL and CRANK_TLS_CERT; pass
 * `process.env`. A failed start is reported on stderr and sets the exit code: 2 for the configuration, 5 for the
 * program.
 * Never rejects.
 */
export async function runWorkerProcess(
  worker: WorkerDefinition | MakeWorker,
  env: NodeJS.ProcessEnv,
  options: { readonly version?: string } = {},
): Promise<void> {
  try {
    await startWorkerProcess(worker, { env, ...options })
  } catch (cause: unknown) {
    const isExpected = cause instanceof Error && EXPECTED.has(cause.name)
    const text = isExpected ? cause.message : `internal error: ${stackOf(cause)}`
    process.stderr.write(`× the worker cannot start: ${text.split('\n').map(printable).join('\n')}\n`)
    process.exitCode = isExpected ? EXIT.usage : EXIT.internal
  }
}

function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
