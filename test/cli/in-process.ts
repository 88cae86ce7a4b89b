// Runs `crank` in the test's own process: quick, and counted by the coverage gate. For commands that come to an end by
// themselves; crank.ts runs it as a user does, for signals, terminals and what a process does beside its command.
import { Readable } from 'node:stream'
import { main } from '../../src/cli.ts'
import type { CrankOptions, Finished } from './crank.ts'

type InProcessOptions = Omit<CrankOptions, 'nodeArgs' | 'cwd'>

let last: Promise<unknown> = Promise.resolve()

/** Runs it to its end, one at a time: output, environment and exit code are those of the whole process. */
export function crank(args: readonly string[], options: InProcessOptions = {}): Promise<Finished> {
  const finished = last.then(() => runAlone(args, options))
  last = finished.catch(() => undefined)
  return finished
}

async function runAlone(args: readonly string[], { env = {}, input = '' }: InProcessOptions): Promise<Finished> {
  using stack = new DisposableStack()
  const stdout = captured(stack, process.stdout)
  const stderr = captured(stack, process.stderr)
  replaced(stack, process, 'env', { PATH: process.env['PATH'], ...env })
  replaced(stack, process, 'stdin', Readable.from(input === '' ? [] : [input]))
  const { exitCode } = process
  stack.defer(() => (process.exitCode = exitCode))
  process.exitCode = undefined
  await main(args)
  return { code: exitCodeNow(), stdout: stdout(), stderr: stderr() }
}

// The compiler believes that it is still undefined.
function exitCodeNow(): number {
  const { exitCode } = process as { exitCode?: number | string }
  return Number(exitCode ?? 0)
}

/** Keeps what is written, from a stream that is not a terminal; the listeners that `main` adds are taken off again. */
function captured(stack: DisposableStack, stream: NodeJS.WriteStream): () => string {
  const parts: Buffer[] = []
  const known = stream.listeners('error')
  replaced(stack, stream, 'isTTY', false)
  replaced(stack, stream, 'write', (chunk: string | Uint8Array, ...rest: unknown[]) => {
    parts.push(Buffer.from(chunk))
    const done = rest.at(-1)
    if (typeof done === 'function') (done as () => void)()
    return true
  })
  stack.defer(() => {
    for (const listener of stream.listeners('error')) {
      if (!known.includes(listener)) stream.off('error', listener as () => void)
    }
  })
  return () => Buffer.concat(parts).toString()
}

function replaced(stack: DisposableStack, owner: object, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(owner, name)
  Object.defineProperty(owner, name, { value, configurable: true, writable: true })
  stack.defer(() => {
    if (before === undefined) Reflect.deleteProperty(owner, name)
    else Object.defineProperty(owner, name, before)
  })
}
