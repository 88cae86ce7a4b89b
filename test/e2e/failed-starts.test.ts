// A start that fails in the middle releases what it had opened: the next one in the same process finds nothing taken.
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { startController } from '../../src/controller/main.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'

let parties: Parties
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  parties = await createParties()
  env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: parties.dir,
    CRANK_POLICY_DIR: POLICY_DIR,
    CRANK_PORT: '0',
    CRANK_ADMIN_PORT: '0',
    LOG_LEVEL: 'silent',
  }
})
afterAll(() => parties.close())

const start = (changed: NodeJS.ProcessEnv) => {
  const own = { ...env, ...changed }
  return startController({ config: loadControllerConfig({ env: own }), env: own })
}

/** What keeps a process alive, but for what was there before. */
function opened(before: readonly string[]): string[] {
  const now = process.getActiveResourcesInfo()
  for (const kind of before) {
    const at = now.indexOf(kind)
    if (at >= 0) now.splice(at, 1)
  }
  return now.filter((kind) => /Server|Timeout|TCP|MessagePort/.test(kind))
}

async function takenPort(): Promise<{ port: string; close: () => void }> {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  return { port: String((other.address() as AddressInfo).port), close: () => other.close() }
}

test.each([
  [
    'no policy folder',
    () => ({ CRANK_POLICY_DIR: join(parties.dir, 'nowhere') }),
    /CRANK_POLICY_DIR=.*: no such folder/,
  ],
  ['a folder without a policy', () => ({ CRANK_POLICY_DIR: parties.dir }), /worker_manifests.json: no such file/],
  [
    'the identity of somebody else',
    async () => await parties.tlsEnv('worker/streaming'),
    /CRANK_TLS_CERT is for spiffe:\/\/crank.local\/worker\/streaming/,
  ],
])('after a start with %s the next one succeeds', async (_what, changed, message) => {
  const before = process.getActiveResourcesInfo()
  await expect(start(await changed())).rejects.toThrow(message)
  await vi.waitFor(() => expect(opened(before)).toEqual([]), { timeout: 10_000 })
  await (await start({})).close()
})

test.each(['CRANK_PORT', 'CRANK_ADMIN_PORT'])(
  'after a start whose %s was taken the next one succeeds',
  async (name) => {
    const { port, close } = await takenPort()
    const before = process.getActiveResourcesInfo()
    await expect(start({ [name]: port })).rejects.toThrow(`${name}="${port}": port ${port} on 127.0.0.1 is in use`)
    await vi.waitFor(() => expect(opened(before)).toEqual([]), { timeout: 10_000 })
    close()
    await (await start({})).close()
  },
)
