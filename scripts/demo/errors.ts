// How the demo ends badly, and how it talks.
import { printable } from '../../src/core/printable.ts'

/** A sentence for the person at the terminal, with the way out. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
  readonly exitCode: number

  constructor(message: string, options?: ErrorOptions & { exitCode?: number }) {
    super(message, options)
    this.exitCode = options?.exitCode ?? 1
  }
}

/** Whether this is what an aborted wait throws: somebody pressed Ctrl-C, which is no fault. */
export function isStop(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'AbortError'
}

/** One line for the person at the terminal; stdout belongs to the results. */
export function say(line: string): void {
  for (const part of line.split('\n')) process.stderr.write(`${printable(part)}\n`)
}
