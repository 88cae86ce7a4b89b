// Which Node goes on: plain JavaScript that runs on Node 20, because it is read before the project's own Node 24 is found.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

const OLDEST = { major: 24, minor: 11 }
/**
 * All that can be caught but those that say something about a process itself (SIGCHLD, SIGWINCH, stops, faults of its code).
 * Without a listener SIGUSR1 would open the debugger of this process.
 * @type {NodeJS.Signals[]}
 */
const FORWARDED = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGABRT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGPROF',
  'SIGPIPE',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
  'SIGCONT',
]
/** Keys of the terminal: they reach every process of its foreground group. */
const FROM_KEYS = ['SIGINT', 'SIGQUIT']

/**
 * A shell command that becomes the program `$0 $@`, without core dumps, which would hold keys. Fd 3 is a pipe from us: when
 * it ends, we are gone, however that came about, and the program is told to stop.
 */
export const GUARD = 'ulimit -c 0; (read -r _ <&3; kill "$$") </dev/null >/dev/null 2>&1 & exec 3<&-; exec "$0" "$@"'

/**
 * Whether this version of Node strips types and runs the project.
 * @param {string} version such as `24.21.0`
 */
export function isNodeFit(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)
}

/**
 * The Node binary that came with the dependencies (`node-<platform>-<arch>`, see docs/decisions/0030), if it is there and fits.
 * @param {string} fromFile a file of the project; its node_modules folders are searched
 * @returns {string | undefined} path of the binary
 */
export function projectNode(fromFile) {
  try {
    const manifest = createRequire(fromFile).resolve(`node-${process.platform}-${process.arch}/package.json`)
    /** @type {unknown} */
    const content = JSON.parse(readFileSync(manifest, 'utf8'))
    const { version } = /** @type {{ version: string }} */ (content)
    const binary = join(dirname(manifest), 'bin', 'node')
    return isNodeFit(version) && existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

/**
 * The Node to go on with: the running one if it fits, else the project's own.
 * @param {string} fromFile as for projectNode
 * @returns {string | undefined} path of the binary; undefined when neither fits
 */
export function fitNode(fromFile) {
  return isNodeFit(process.versions.node) ? process.execPath : projectNode(fromFile)
}

/** What to say where no Node fits. */
export const NO_NODE = `crank needs Node >= ${OLDEST.major}.${OLDEST.minor}; this is ${process.versions.node}, and none came with the dependencies for ${process.platform}-${process.arch}: install Node 24 from https://nodejs.org and try again.`

/** For Node 24: SIGUSR1 does not open its debugger, from its first moment on. */
export const NO_DEBUGGER = '--disable-sigusr1'

const PARENT_POLL_MS = 500

/**
 * Runs a program in the foreground; signals pass through. It ends when we do, SIGKILL included, and we end when it does.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{
 *   env?: NodeJS.ProcessEnv, stdio?: ('inherit' | 'ignore' | number)[], cwd?: string, endWithParent?: boolean
 * }} [options] `endWithParent`: stop it when the process that started us is gone, as after SIGKILL of npm
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it
 */
export function runForeground(file, args, { endWithParent = false, stdio = [0, 1, 2], ...options } = {}) {
  return new Promise((resolve, reject) => {
    const parent = process.ppid
    const child = spawn('/bin/sh', ['-c', GUARD, file, ...args], { ...options, stdio: [...stdio, 'pipe'] })
    const watch = setInterval(() => {
      if (endWithParent && process.ppid !== parent) child.kill('SIGTERM')
    }, PARENT_POLL_MS)
    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => {
      if (FROM_KEYS.includes(signal) && process.stdin.isTTY) return
      child.kill(signal)
    }
    for (const signal of FORWARDED) process.on(signal, forward)
    child.on('error', (error) => {
      clearInterval(watch)
      reject(error)
    })
    child.on('exit', (code, signal) => {
      clearInterval(watch)
      // Lets the guard go, which would keep us from ending.
      child.stdio[3]?.destroy()
      for (const name of FORWARDED) process.off(name, forward)
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
    })
  })
}
