// The processes of the demo. Each has its own process group, so that Ctrl-C reaches only the demo, which stops them in
// order; none outlives it, however it ends.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { GUARD } from '../../bin/node-24.js'
import { childEnvironment } from '../../src/platform/env.ts'
import { DemoError } from './errors.ts'

export type Command = {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}
/** `offset`: start of this process's output; before it is the output of earlier ones. */
export type ProcessLog = { readonly path: string; readonly offset: number }
export type Processes = {
  /** Starts a process; its output is appended to `<logDir>/<name>.log`. */
  start(command: Command): ProcessLog
  /** Rejects with a DemoError when a process ends unexpectedly; otherwise never settles. */
  readonly broken: Promise<never>
  /** Stops all processes, the last started first. Never rejects. */
  stop(): Promise<void>
}

/** Longer than a controller or worker needs to drain. */
const STOP_MS = 20_000
const LAST_LINES = 8

/** @param logDir created if it is missing */
export function createProcesses(logDir: string): Processes {
  mkdirSync(logDir, { recursive: true })
  const running: ChildProcess[] = []
  const { promise: broken, reject } = Promise.withResolvers<never>()
  broken.catch(() => undefined)
  let stopping = false
  return {
    start(command) {
      const logFile = join(logDir, `${command.name}.log`)
      const offset = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
      const child = spawnGuarded(command, logFile)
      running.push(child)
      const onEnd = (how: string) => {
        if (!stopping) reject(new DemoError(describeDeath(command.name, how, { path: logFile, offset })))
      }
      child.once('error', (error) => onEnd(error.message))
      child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${String(code)}`))
      return { path: logFile, offset }
    },
    broken,
    async stop() {
      stopping = true
      for (const child of running.toReversed()) await stopOne(child)
    },
  }
}

function spawnGuarded({ file, args, env = childEnvironment() }: Command, logFile: string): ChildProcess {
  const log = openSync(logFile, 'a', 0o600)
  try {
    return spawn('/bin/sh', ['-c', GUARD, file, ...args], {
      stdio: ['ignore', log, log, 'pipe'],
      detached: true,
      env,
    })
  } finally {
    closeSync(log)
  }
}

async function stopOne(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([exited, delay(STOP_MS, undefined, { ref: false })])
  }
  killGroup(child.pid)
}

/** Kills the rest of a process group: the guard, and a process that did not stop in time. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has already ended.
  }
}

function describeDeath(name: string, how: string, log: ProcessLog): string {
  const lines = readLog(log).trimEnd().split('\n').slice(-LAST_LINES)
  const end = lines.map((line) => `  ${readable(line)}`)
  return [`${name} ended unexpectedly (${how}). The end of ${log.path}:`, ...end].join('\n')
}

/** The output of a process so far. */
export function readLog({ path, offset }: ProcessLog): string {
  return readFileSync(path).subarray(offset).toString('utf8')
}

/** A JSON log line as level, message and error; any other line unchanged. */
function readable(line: string): string {
  try {
    const { time, level, msg, reason, err } = JSON.parse(line) as Record<string, unknown>
    const why = typeof reason === 'string' ? reason : (err as { message?: unknown } | undefined)?.message
    const parts = [time, level, typeof why === 'string' ? `${String(msg)}: ${why}` : msg]
    return parts.filter((part) => typeof part === 'string').join('  ')
  } catch {
    return line
  }
}
