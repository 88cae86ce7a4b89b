// Watches credential files and swaps them as one snapshot. If a new set does not fit together, the old one stays in use.
import { stat } from 'node:fs/promises'
import { isoTime } from '../../core/iso-time.ts'
import { loadCredentials, type CredentialFiles, type Credentials } from './credential-set.ts'
import { createExpiryReport } from './bundle-expiry.ts'
import { markOfStats, watchFiles, type LookoutPace } from '../file-lookout.ts'
import { createListeners } from '../listeners.ts'
import type { Logger } from '../logger.ts'
import { createReportedFault } from '../reported-fault.ts'
import { bundleFiles } from '../svid/trust-bundle.ts'

export { loadCredentials, type CredentialFiles, type Credentials } from './credential-set.ts'

export type CredentialSource = {
  readonly current: () => Credentials
  /** Called after each swap; the returned function unsubscribes. */
  readonly onChange: (listener: (next: Credentials, previous: Credentials) => void) => () => void
  /** Called when a broken set has been on disk for 2 s, once for each different fault. */
  readonly onFault: (listener: (error: Error) => void) => () => void
  readonly close: () => void
}

type WatchOptions = { readonly now: () => number; readonly log: Logger; readonly pace?: Partial<LookoutPace> }

// A writer replaces three files one after the other: in between they do not fit together, which is not a fault yet.
const SETTLE_MS = 2000

/** Loads the set and keeps watching it. Rejects as `loadCredentials` does when the first set is broken. */
export async function watchCredentials(files: CredentialFiles, options: WatchOptions): Promise<CredentialSource> {
  const { now, log, pace = {} } = options
  let seen = await signatureOf(files).catch(() => '')
  let current = await loadCredentials(files, now)
  const reportExpiry = createExpiryReport({ now, log })
  reportExpiry(current.bundles)
  const onThrown = (err: unknown): void =>
    log.error({ event: 'credentials_listener_failed', err }, 'a listener for credential changes failed')
  const changed = createListeners<[Credentials, Credentials]>(onThrown)
  const faulty = createListeners<[Error]>(onThrown)
  const faults = createFaultFilter()
  let closed = false
  const lookout = watchFiles({
    paths: [files.certFile, files.keyFile, files.bundlePath],
    async look() {
      reportExpiry(current.bundles)
      return (await read()) && !faults.pending()
    },
    onSame: () => reportExpiry(current.bundles),
    pace,
  })

  /** False: the files were written to while they were read. */
  async function read(): Promise<boolean> {
    const signature = await signatureOf(files).catch(() => '')
    if (signature === seen && !faults.pending()) return true
    try {
      const next = await loadCredentials(files, now)
      if (signature === '' || signature !== (await signatureOf(files))) return false
      checkSameIdentity(next, current, files)
      seen = signature
      faults.clear()
      if (!closed) swap(next)
    } catch (error: unknown) {
      if (faults.isNew(error as Error) && !closed) report(error as Error)
    }
    return true
  }

  function swap(next: Credentials): void {
    if (isSameSet(next, current)) return
    const previous = current
    current = { ...next, generation: previous.generation + 1 }
    logChange(log, current)
    changed.notify(current, previous)
  }

  function report(error: Error): void {
    log.error({ event: 'credentials_broken', reason: error.message }, 'invalid credentials on disk; the old ones stay')
    faulty.notify(error)
  }

  return {
    current: () => current,
    onChange: changed.add,
    onFault: faulty.add,
    close() {
      closed = true
      lookout.close()
    },
  }
}

function logChange(log: Logger, { generation, spiffeId, notAfterMs }: Credentials): void {
  const fields = { event: 'credentials_changed', generation, spiffe_id: spiffeId, not_after: isoTime(notAfterMs) }
  log.info(fields, 'credentials changed')
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

function isSameSet(one: Credentials, other: Credentials): boolean {
  return contentOf(one) === contentOf(other)
}

function contentOf({ certPem, keyPem, bundles }: Credentials): string {
  return JSON.stringify([certPem, keyPem, [...bundles].map(([domain, anchors]) => [domain, anchors.map(String)])])
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
