// Starts the chains of calls: loads the key of the mesh, or makes one, and follows the file. With a shared store the file gets the
// keys of all controllers.
import { join } from 'node:path'
import { createCallChains, type CallChains } from '../chain/call-chains.ts'
import { watchChainKeys } from '../chain/chain-key-watch.ts'
import { chainKeyFault, ensureChainKey } from '../chain/chain-key.ts'
import type { ControllerConfig } from '../config.ts'
import { openChainKeys } from '../mesh/chain-keys.ts'
import type { StoreLink } from '../store/store-link.ts'
import type { Ground } from './ground.ts'
import { firstViewMs } from './start-mesh.ts'

/** @throws {ConfigError} when the file of the keys cannot be used */
export async function startChains(ground: Ground): Promise<CallChains> {
  const { config, log, now, opened, store } = ground
  if (store !== undefined) await shareChainKeys(ground, store)
  const file = fileOf(config)
  try {
    if (config.chainKeyFile === undefined) await ensureChainKey(file)
    const watch = opened.adopt(await watchChainKeys(file, { log }), ({ close }) => close())
    return createCallChains({ keys: watch.keys, now })
  } catch (cause: unknown) {
    throw chainKeyFault('CRANK_CHAIN_KEY', file, cause)
  }
}

/** Brings the keys of the mesh into the file, unless an operator provides it. One process does it, for all. */
export async function shareChainKeys(
  { config, log, now, opened }: Pick<Ground, 'config' | 'log' | 'now' | 'opened'>,
  link: StoreLink,
): Promise<void> {
  if (config.chainKeyFile !== undefined) return
  const keys = opened.adopt(openChainKeys({ link, file: fileOf(config), now, log }), (it) => it.close())
  await keys.viewed(firstViewMs(link))
}

function fileOf({ chainKeyFile, stateDir }: ControllerConfig): string {
  return chainKeyFile ?? join(stateDir, 'chain.key')
}
