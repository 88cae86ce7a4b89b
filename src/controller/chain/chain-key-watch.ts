// Follows the file of the keys for x-crank-chain. While the file has a fault, the keys that were read before stay in use.
import { stat } from 'node:fs/promises'
import type { Logger } from '../../platform/logger.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { loadChainKeys, reasonOf, type ChainKeys } from './chain-key.ts'

type ChainKeyWatch = { readonly keys: () => ChainKeys; readonly close: () => void }

/** `pollMs`: how often the metadata of the file is checked; the content is read when it changed. */
type WatchOptions = { readonly log: Pick<Logger, 'info' | 'error'>; readonly pollMs?: number }

const POLL_MS = 250

/** Rejects as `loadChainKeys` when the file cannot be used now. */
export async function watchChainKeys(file: string, { log, pollMs = POLL_MS }: WatchOptions): Promise<ChainKeyWatch> {
  let seen = await signatureOf(file)
  let keys = await loadChainKeys(file)
  const fault = createReportedFault()
  let closed = false
  let timer = setTimeout(tick, pollMs).unref()

  function tick(): void {
    void poll().finally(() => {
      if (!closed) timer = setTimeout(tick, pollMs).unref()
    })
  }

  async function poll(): Promise<void> {
    const signature = await signatureOf(file)
    if (signature === seen) return
    try {
      const next = await loadChainKeys(file)
      if (signature !== (await signatureOf(file))) return // written while we read: next tick
      keys = next
      fault.end()
      log.info({ event: 'chain_keys_changed', keys: next.length }, 'the keys for chains of calls changed')
    } catch (cause: unknown) {
      report(reasonOf(cause))
    }
    seen = signature
  }

  function report(reason: string): void {
    if (!fault.isNews(reason)) return
    log.error({ event: 'chain_keys_broken', file, reason }, 'invalid keys for chains of calls; the old ones stay')
  }

  return {
    keys: () => keys,
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

/** Changes when the file is written, replaced or given other rights; a missing file has one too. */
async function signatureOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined)
  if (found === undefined) return 'none'
  return [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ')
}
