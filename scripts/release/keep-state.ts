// What a controller of this release leaves on disk, as a fixture of the tests of the next ones (test/e2e/released-state.test.ts).
// No private key is in it.
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const KEPT = ['audit', 'audit.pub', 'registry.json', 'idempotency.sqlite']
/** What the product makes from the rest. */
const MADE = /\.index$|writer\.lock$|policy\.wasm|\/(?:schemas|samples)(?:\/|$)/
const PRIVATE_KEY = 'PRIVATE KEY-----'

/** Copies the state of a stopped controller from `installed` to `to`, which it replaces. @throws {Error} when a private key is in it */
export async function keepState(installed: string, to: string, about: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true })
  const isKept = (path: string): boolean => !MADE.test(path)
  for (const path of KEPT)
    await cp(join(installed, '.crank', path), join(to, path), { recursive: true, filter: isKept })
  await cp(join(installed, 'policies'), join(to, 'policies'), { recursive: true, filter: isKept })
  await writeFile(join(to, 'version.json'), about)
  for (const { name, parentPath } of await readdir(to, { recursive: true, withFileTypes: true })) {
    const content = await readFile(join(parentPath, name), 'latin1').catch(() => '')
    if (content.includes(PRIVATE_KEY)) throw new Error(`${join(parentPath, name)} has a private key`)
  }
}
