// Progress of `npm ci` on a terminal: npm itself prints nothing for minutes. No dependencies, runs on Node 20.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** @typedef {{ packages?: Record<string, { link?: boolean, optional?: boolean }> }} LockFile */

const LOOK_MS = 500
const CLEAR_LINE = '\r\u001b[K'

/**
 * The packages that package-lock.json brings in on every machine, as paths in the project; empty when it cannot be read.
 * @param {string} root folder of the project
 * @returns {string[]}
 */
export function packagesToInstall(root) {
  try {
    /** @type {unknown} */
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    const { packages = {} } = /** @type {LockFile} */ (lock)
    return Object.entries(packages)
      .filter(([path, entry]) => path.includes('node_modules/') && entry.link !== true && entry.optional !== true)
      .map(([path]) => path)
  } catch {
    return []
  }
}

/**
 * Shows on stderr, if that is a terminal, how many of the packages are there.
 * @param {string} root folder of the project
 * @param {readonly string[]} packages
 * @param {Pick<NodeJS.WriteStream, 'isTTY' | 'write'>} stream
 * @returns {() => void} ends it and clears the line
 */
export function showProgress(root, packages, stream) {
  if (!stream.isTTY || packages.length === 0) return () => undefined
  const show = () => {
    const there = packages.filter((path) => existsSync(join(root, path, 'package.json'))).length
    stream.write(`${CLEAR_LINE}  ${there} of ${packages.length} packages`)
  }
  show()
  const timer = setInterval(show, LOOK_MS)
  return () => {
    clearInterval(timer)
    stream.write(CLEAR_LINE)
  }
}
