// The processes of a run. Scripts of the bench are forked and end when their channel closes; programs (crank, OPA) run
// under a guard with the same effect. No process outlives the bench, even after SIGKILL.
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { GUARD } from '../../bin/node-24.js'

export type Program = {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}
export type Script = {
  readonly pid: number
  /** The port it listens on; 0 if it does not listen. */
  readonly port: number
  /** Sends one job and waits for its result. @throws {Error} the failure of the script */
  readonly ask: <Result>(job: object) => Promise<Result>
}
export type Processes = {
  /** Starts a program; its output goes to `<dir>/<name>.log`. */
  start(program: Program): { readonly pid: number }
  /** Starts a script of this folder and waits for its report. */
  run(script: string, env: NodeJS.ProcessEnv, nodeArgs?: readonly string[]): Promise<Script>
  /** Rejects as soon as a process ends. */
  readonly broken: Promise<never>
  /** Stops all processes, the last started first. Never rejects. */
  stop(): Promise<void>
}

type Message = { readonly port?: number; readonly result?: unknown; readonly failure?: string }

const STOP_MS = 15_000
const LAST_LINES = 8

/** @param dir a folder for logs */
export function createProcesses(dir: string): Processes {
  const running: ChildProcess[] = []
  const { promise: broken, reject } = Promise.withResolvers<never>()
  broken.catch(() => undefined)
  let stopping = false

  const keep = (child: ChildProcess, name: string, logFile: string): number => {
    running.push(child)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      // Also while stopping: a caller that waits for its message must not wait forever.
      reject(new Error(`${name} ended (${signal ?? `exit code ${code ?? '?'}`}):\n${lastLines(logFile)}`))
    })
    return child.pid ?? 0
  }
  // A start in progress when the run stops must not leave an unattended process.
  const refuseIfStopping = (): void => {
    if (stopping) throw new Error('the run is being stopped')
  }
  return {
    start({ name, file, args, env }) {
      refuseIfStopping()
      const logFile = join(dir, `${name}.log`)
      const log = openSync(logFile, 'w', 0o600)
      const child = spawn('/bin/sh', ['-c', GUARD, file, ...args], {
        stdio: ['ignore', log, log, 'pipe'],
        detached: true,
        env,
      })
      closeSync(log)
      return { pid: keep(child, name, logFile) }
    },
    async run(script: string, env: NodeJS.ProcessEnv, nodeArgs: readonly string[] = []) {
      refuseIfStopping()
      const logFile = join(dir, `${script}-${running.length}.log`)
      const log = openSync(logFile, 'w', 0o600)
      const child = fork(join(import.meta.dirname, script), [], {
        stdio: ['ignore', log, log, 'ipc'],
        env,
        execArgv: [...nodeArgs],
      })
      closeSync(log)
      const pid = keep(child, script, logFile)
      const { port = 0 } = await nextMessage(child, broken)
      return { pid, port, ask: <Result>(job: object) => ask<Result>(child, job, broken) }
    },
    broken,
    async stop() {
      stopping = true
      for (const child of running.toReversed()) await stopOne(child)
    },
  }
}

async function ask<Result>(child: ChildProcess, job: object, broken: Promise<never>): Promise<Result> {
  child.send(job)
  const { result, failure } = await nextMessage(child, broken)
  if (failure !== undefined) throw new Error(failure)
  return result as Result
}

async function nextMessage(child: ChildProcess, broken: Promise<never>): Promise<Message> {
  const [message] = (await Promise.race([once(child, 'message'), broken])) as [Message]
  return message
}

async function stopOne(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([exited, delay(STOP_MS, undefined, { ref: false })])
  }
  // A program leads its own process group, which still contains its guard; a script does not.
  if (child.spawnfile === '/bin/sh') killGroup(child.pid)
  else child.kill('SIGKILL')
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has already ended.
  }
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LAST_LINES).join('\n')
  } catch {
    return '' // The run has ended and its folder is removed.
  }
}
