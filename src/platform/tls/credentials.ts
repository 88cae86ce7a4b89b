// Watches credential files and swaps them as one snapshot. If a new set does not fit together, the old one stays in use.
import { stat } from 'node:fs/promises'
import { createHeldCredentials, type CredentialSource } from './credential-holder.ts'
import { loadCredentials, type CredentialFiles, type Credentials } from './credential-set.ts'
import { markOfStats, watchFiles, type LookoutPace } from '../file-lookout.ts'
import type { Logger } from '../logger.ts'
import { createReportedFault } from '../reported-fault.ts'
import { bundleFiles } from '../svid/trust-bundle.ts'

export type { CredentialSource } from './credential-holder.ts'
export { loadCredentials, type CredentialFiles, type Credentials } from './credential-set.ts'

type WatchOptions = { readonly now: () => number; readonly log: Logger; readonly pace?: Partial<LookoutPace> }

// A writer replaces three files one after the other: in between they do not fit together, which is not a fault yet.
const SETTLE_MS = 2000

/** Loads the set and keeps watching it. Rejects as `loadCredentials` does when the first set is broken. */
export async function watchCredentials(files: CredentialFiles, options: WatchOptions): Promise<CredentialSource> {
  const { now, log, pace = {} } = options
  let seen = await signatureOf(files).catch(() => '')
  const held = createHeldCredentials(await loadCredentials(files, now), { now, log })
  const faults = createFaultFilter()
  const lookout = watchFiles({
    paths: [files.certFile, files.keyFile, files.bundlePath],
    async look() {
      held.reportExpiry()
      return (await read()) && !faults.pending()
    },
    onSame: held.reportExpiry,
    pace,
  })

  /** False: the files were written to while they were read. */
  async function read(): Promise<boolean> {
    const signature = await signatureOf(files).catch(() => '')
    if (signature === seen && !faults.pending()) return true
    try {
      const next = await loadCredentials(files, now)
      if (signature === '' || signature !== (await signatureOf(files))) return false
      checkSameIdentity(next, held.current(), files)
      seen = signature
      faults.clear()
      held.replace(next)
    } catch (error: unknown) {
      if (faults.isNew(error as Error)) held.report(error as Error)
    }
    return true
  }

  return {
    ...held,
    close() {
      held.close()
      lookout.close()
    },
  }
}

/** Changes whenever one of the files is written or replaced. Follows links: Kubernetes swaps a linked folder. */
async function signatureOf({ certFile, keyFile, bundlePath, trustDomain }: CredentialFiles): Promise<string> {
  const bundles = await bundleFiles(bundlePath, trustDomain)
  const paths = [certFile, keyFile, ...bundles.values()]
  const stats = await Promise.all(paths.map((path) => stat(path, { bigint: true })))
  return stats.map((found, index) => `${paths[index] ?? ''} ${markOfStats(found)}`).join()
}

/** A process keeps its identity: what its peers expect of it, and its leases and rights, belong to that one. */
function checkSameIdentity(next: Credentials, current: Credentials, { certFile }: CredentialFiles): void {
  if (next.spiffeId === current.spiffeId) return
  throw new Error(
    `${certFile}: is for ${next.spiffeId}, but this process is ${current.spiffeId}; put its own certificate there, or restart it as the other one`,
  )
}

type FaultFilter = {
  /** Whether this fault has lasted long enough and has not been reported yet. */
  readonly isNew: (fault: Error) => boolean
  readonly pending: () => boolean
  readonly clear: () => void
}

function createFaultFilter(): FaultFilter {
  let sinceMs: number | undefined
  const reported = createReportedFault()
  return {
    isNew(fault) {
      sinceMs ??= performance.now()
      return performance.now() - sinceMs >= SETTLE_MS && reported.isNews(fault.message)
    },
    pending: () => sinceMs !== undefined,
    clear() {
      sinceMs = undefined
      reported.end()
    },
  }
}
