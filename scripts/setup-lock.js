// One set-up at a time in a checkout: two `npm ci` at once take node_modules from under each other. The lock is an abstract
// unix socket (Linux): the kernel frees it with the process, however that ends. Dependency-free, runs on Node 20.
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const RETRY_MS = 200

/**
 * Runs `work` while no other process is in here for the same folder.
 * @template T
 * @param {string} root folder of the project
 * @param {{ work: () => Promise<T>, onWait: () => void }} steps `onWait` is called once, when another one is at it
 * @returns {Promise<T>}
 */
export async function withSetupLock(root, { work, onWait }) {
  let server = await tryListen(root)
  if (server === undefined) onWait()
  while (server === undefined) {
    await delay(RETRY_MS)
    server = await tryListen(root)
  }
  try {
    return await work()
  } finally {
    server.close()
  }
}

/**
 * @param {string} root
 * @returns {Promise<import('node:net').Server | undefined>} undefined: somebody else listens
 */
function tryListen(root) {
  const name = `\0crank-setup-${createHash('sha256').update(root).digest('hex')}`
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(name, () => resolve(server))
  })
}
