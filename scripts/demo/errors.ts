// Errors and progress messages of the demo.
import { printable } from '../../src/core/printable.ts'

/** A sentence for the person at the terminal, with the fix. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
  readonly exitCode: number

  constructor(message: string, options?: ErrorOptions & { exitCode?: number }) {
    super(message, options)
    this.exitCode = options?.exitCode ?? 1
  }
}

/** Whether it is the error of an aborted wait: Ctrl-C is not a fault. */
export function isStop(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'AbortError'
}

/** Prints one line to stderr; stdout is for the results. */
export function say(line: string): void {
  for (const part of line.split('\n')) process.stderr.write(`${printable(part)}\n`)
}
