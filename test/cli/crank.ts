// Runs `crank` as a user does: bin/crank.js as a process of its own.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
export type CrankOptions = {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly nodeArgs?: readonly string[]
  /** Default: that of the test. */
  readonly cwd?: string
}

const CRANK = new URL('../../bin/crank.js', import.meta.url).pathname

/** Starts it; the environment is empty but for PATH and `env`. */
export function startCrank(args: readonly string[], { env = {}, nodeArgs = [], cwd }: CrankOptions = {}): ChildProcess {
  return spawn(process.execPath, [...nodeArgs, CRANK, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd,
  })
}

/** Runs it to its end. */
export async function crank(args: readonly string[], options: CrankOptions = {}): Promise<Finished> {
  const child = startCrank(args, options)
  child.stdin!.end(options.input ?? '')
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { code: child.exitCode, stdout, stderr }
}
