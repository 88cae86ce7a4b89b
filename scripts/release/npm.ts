// npm as a program: the one that belongs to the Node of this process, or the one on PATH.
import { run } from '../tools/run.ts'

const LIMIT_MS = 600_000

/** Its stdout. @throws {Error} with what it said */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run('npm', ['--loglevel=error', ...args], { cwd, timeoutMs: LIMIT_MS })
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed in ${cwd}: ${stdout}${stderr}`)
  return stdout
}
