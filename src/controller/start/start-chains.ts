// Starts the chains of calls: loads the key of the mesh, or makes one, and follows the file.
import { join } from 'node:path'
import { createCallChains, type CallChains } from '../chain/call-chains.ts'
import { watchChainKeys } from '../chain/chain-key-watch.ts'
import { chainKeyFault, ensureChainKey } from '../chain/chain-key.ts'
import type { Ground } from './ground.ts'

/** @throws {ConfigError} when the file of the keys cannot be used */
export async function startChains({ config, log, now, opened }: Ground): Promise<CallChains> {
  const { chainKeyFile, stateDir } = config
  const file = chainKeyFile ?? join(stateDir, 'chain.key')
  try {
    if (chainKeyFile === undefined) await ensureChainKey(file)
    const watch = opened.adopt(await watchChainKeys(file, { log }), ({ close }) => close())
    return createCallChains({ keys: watch.keys, now })
  } catch (cause: unknown) {
    throw chainKeyFault('CRANK_CHAIN_KEY', file, cause)
  }
}
