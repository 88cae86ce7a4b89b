// Follows the file of the keys for x-crank-chain. While the file has a fault, the keys that were read before stay in use.
import { stat } from 'node:fs/promises'
import { markOfStats, watchFiles } from '../../platform/file-lookout.ts'
import type { Logger } from '../../platform/logger.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { loadChainKeys, reasonOf, type ChainKeys } from './chain-key.ts'

type ChainKeyWatch = { readonly keys: () => ChainKeys; readonly close: () => void }

type WatchOptions = { readonly log: Pick<Logger, 'info' | 'error'> }

/** Rejects as `loadChainKeys` when the file cannot be used now. */
export async function watchChainKeys(file: string, { log }: WatchOptions): Promise<ChainKeyWatch> {
  let seen = await signatureOf(file)
  let keys = await loadChainKeys(file)
  const fault = createReportedFault()
  const lookout = watchFiles({ paths: [file], look })

  async function look(): Promise<boolean> {
    const signature = await signatureOf(file)
    if (signature === seen) return true
    try {
      const next = await loadChainKeys(file)
      if (signature !== (await signatureOf(file))) return false // written while we read
      keys = next
      fault.end()
      log.info({ event: 'chain_keys_changed', keys: next.length }, 'the keys for chains of calls changed')
    } catch (cause: unknown) {
      report(reasonOf(cause))
    }
    seen = signature
    return true
  }

  function report(reason: string): void {
    if (!fault.isNews(reason)) return
    log.error({ event: 'chain_keys_broken', file, reason }, 'invalid keys for chains of calls; the old ones stay')
  }

  return {
    keys: () => keys,
    close: () => lookout.close(),
  }
}

/** Changes when the file is written, replaced or given other rights; a missing file has one too. */
async function signatureOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined)
  return found === undefined ? 'none' : markOfStats(found)
}
