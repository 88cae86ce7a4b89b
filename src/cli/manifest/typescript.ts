// The TypeScript compiler reads the sources. It is large and only `crank manifest` needs it, so it is loaded here, late.
import { CliError, EXIT } from '../exit.ts'

/** @throws {CliError} when TypeScript is not installed, or is one without the compiler API (7 and later have none) */
export async function requireTypescript(): Promise<void> {
  const found = await import('typescript').catch((cause: unknown) => {
    throw missing('crank manifest reads the source of workers with TypeScript, which is not installed', cause)
  })
  const { createSourceFile } = found.default as Partial<typeof found.default>
  if (typeof createSourceFile !== 'function') {
    throw missing('the installed TypeScript has no compiler API, which crank manifest needs', undefined)
  }
}

function missing(message: string, cause: unknown): CliError {
  return new CliError(EXIT.usage, message, { cause, hint: 'npm install typescript@6' })
}
