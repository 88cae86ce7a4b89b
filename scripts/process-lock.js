// A machine-wide process lock: two runs of `npm ci` in one checkout would break node_modules, and two builds of one
// tool would do the same work twice. The lock is an abstract unix socket (Linux): the kernel releases it when the
// process ends in any way.
// No dependencies, runs on Node 20.
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const RETRY_MS = 200

/**
 * Runs `work` while no other process works under the same name.
 * @template T
 * @param {string} name what is locked: the work and its place
 * @param {{ work: () => Promise<T>, onWait: () => void }} steps `onWait` is called once, when another process holds the lock
 * @returns {Promise<T>}
 */
export async function withProcessLock(name, { work, onWait }) {
  let server = await tryListen(name)
  if (server === undefined) onWait()
  while (server === undefined) {
    await delay(RETRY_MS)
    server = await tryListen(name)
  }
  try {
    return await work()
  } finally {
    server.close()
  }
}

/**
 * @param {string} name
 * @returns {Promise<import('node:net').Server | undefined>} undefined: another process listens
 */
function tryListen(name) {
  const address = `\0crank-${createHash('sha256').update(name).digest('hex')}`
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(address, () => resolve(server))
  })
}
