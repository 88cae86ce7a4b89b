// The processes of the demo. Each is in a process group of its own, so that Ctrl-C reaches only us and we stop them in
// order; none outlives us, however we end.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
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
export type Processes = {
  /** Starts one; its output goes to `<logDir>/<name>.log`. @returns the path of the log */
  start(command: Command): string
  /** Rejects with a DemoError as soon as one ends that nobody stopped; otherwise never settles. */
  readonly broken: Promise<never>
  /** Stops all, the last started first. Never rejects. */
  stop(): Promise<void>
}

/** Longer than a controller or worker takes to drain. */
const STOP_MS = 20_000
const LAST_LINES = 8

/** @param logDir is made if it is missing */
export function createProcesses(logDir: string): Processes {
  mkdirSync(logDir, { recursive: true })
  const running: ChildProcess[] = []
  const { promise: broken, reject } = Promise.withResolvers<never>()
  broken.catch(() => undefined)
  let stopping = false
  return {
    start(command) {
      const logFile = join(logDir, `${command.name}.log`)
      const child = spawnGuarded(command, logFile)
      running.push(child)
      const onEnd = (how: string) => {
        if (!stopping) reject(new DemoError(describeDeath(command.name, how, logFile)))
      }
      child.once('error', (error) => onEnd(error.message))
      child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${String(code)}`))
      return logFile
    },
    broken,
    async stop() {
      stopping = true
      for (const child of running.toReversed()) await stopOne(child)
    },
  }
}

function spawnGuarded({ file, args, env = childEnvironment() }: Command, logFile: string): ChildProcess {
  const log = openSync(logFile, 'w', 0o600)
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

/** What is left of a process group: the guard, and a process that did not stop in time. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing is left.
  }
}

function describeDeath(name: string, how: string, logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LAST_LINES)
  return [`${name} ended unexpectedly (${how}). The end of ${logFile}:`, ...lines.map((line) => `  ${line}`)].join('\n')
}
