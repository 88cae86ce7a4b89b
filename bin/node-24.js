// Which Node goes on: plain JavaScript that runs on Node 20, because it is read before the project's own Node 24 is found.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

const OLDEST = { major: 24, minor: 11 }
/** @type {NodeJS.Signals[]} */
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP']

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

const PARENT_POLL_MS = 500

/**
 * Runs a program in the foreground; signals pass through.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{
 *   env?: NodeJS.ProcessEnv, stdio?: import('node:child_process').StdioOptions, cwd?: string, endWithParent?: boolean
 * }} [options] `endWithParent`: stop it when the process that started us is gone, as after SIGKILL of npm
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it
 */
export function runForeground(file, args, { endWithParent = false, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const parent = process.ppid
    const child = spawn(file, args, { stdio: 'inherit', ...options })
    const watch = setInterval(() => {
      if (endWithParent && process.ppid !== parent) child.kill('SIGTERM')
    }, PARENT_POLL_MS)
    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => {
      // Ctrl-C reaches every process of the terminal's foreground group by itself: a second one would cut a drain short.
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    }
    for (const signal of FORWARDED) process.on(signal, forward)
    child.on('error', (error) => {
      clearInterval(watch)
      reject(error)
    })
    child.on('exit', (code, signal) => {
      clearInterval(watch)
      for (const name of FORWARDED) process.off(name, forward)
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
    })
  })
}
