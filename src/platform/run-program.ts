// Runs a program to its end. Never through a shell: arguments are passed unchanged.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { childEnvironment } from './env.ts'

/** `env`: default is childEnvironment(). `timeoutMs`: after this time the program is killed and `code` is null. */
export type RunOptions = { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number }
/** `code` is null when a signal ended the program. */
export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Runs `file` and collects its output; rejects only when it cannot be started. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { timeoutMs, env = childEnvironment(), ...rest } = options
  const limit = timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: 'SIGKILL' as const }
  const child = spawn(file, args, { ...rest, env, ...limit, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code))
  })
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}
