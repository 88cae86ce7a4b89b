// Watches credential files and swaps them as one snapshot. If a new set does not fit together, the old one stays in use.
import { stat } from 'node:fs/promises'
import { isoTime } from '../../core/iso-time.ts'
import { loadCredentials, type CredentialFiles, type Credentials } from './credential-set.ts'
import { createExpiryReport } from './bundle-expiry.ts'
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

/** `pollMs`: how often the metadata of the files is checked; the content is read when the metadata changed. */
type WatchOptions = { readonly now: () => number; readonly log: Logger; readonly pollMs?: number }

const POLL_MS = 250
// A writer replaces three files one after the other: in between they do not fit together, which is not a fault yet.
const SETTLE_MS = 2000

/** Loads the set and keeps watching it. Rejects as `loadCredentials` does when the first set is broken. */
export async function watchCredentials(files: CredentialFiles, options: WatchOptions): Promise<CredentialSource> {
  const { now, log, pollMs = POLL_MS } = options
  let seen = await signatureOf(files).catch(() => '')
  let current = await loadCredentials(files, now)
  const reportExpiry = createExpiryReport({ now, log })
  reportExpiry(current.bundles)
  const onThrown = (err: unknown): void =>
    log.error({ event: 'credentials_listener_failed', err }, 'a listener for credential changes failed')
  const changed = createListeners<[Credentials, Credentials]>(onThrown)
  const faulty = createListeners<[Error]>(onThrown)
  const faults = createFaultFilter(Math.ceil(SETTLE_MS / pollMs))
  let closed = false
  let timer = setTimeout(tick, pollMs).unref()

  function tick(): void {
    reportExpiry(current.bundles)
    void poll().finally(() => {
      if (!closed) timer = setTimeout(tick, pollMs).unref()
    })
  }

  async function poll(): Promise<void> {
    const signature = await signatureOf(files).catch(() => '')
    if (signature === seen && !faults.pending()) return
    try {
      const next = await loadCredentials(files, now)
      if (signature === '' || signature !== (await signatureOf(files))) return // written while we read: next tick
      checkSameIdentity(next, current, files)
      seen = signature
      faults.clear()
      if (!closed) swap(next)
    } catch (error: unknown) {
      if (faults.isNew(error as Error) && !closed) report(error as Error)
    }
  }

  function swap(next: Credentials): void {
    if (isSameSet(next, current)) return
    const previous = current
    current = { ...next, generation: previous.generation + 1 }
    const { generation, spiffeId, notAfterMs } = current
    const notAfter = isoTime(notAfterMs)
    log.info(
      { event: 'credentials_changed', generation, spiffe_id: spiffeId, not_after: notAfter },
      'credentials changed',
    )
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
      clearTimeout(timer)
    },
  }
}

/** Changes whenever one of the files is written or replaced. Follows links: Kubernetes swaps a linked folder. */
async function signatureOf({ certFile, keyFile, bundlePath, trustDomain }: CredentialFiles): Promise<string> {
  const bundles = await bundleFiles(bundlePath, trustDomain)
  const paths = [certFile, keyFile, ...bundles.values()]
  const stats = await Promise.all(paths.map((path) => stat(path, { bigint: true })))
  return stats
    .map(({ ino, size, mtimeNs, ctimeNs }, index) => [paths[index], ino, size, mtimeNs, ctimeNs].join(' '))
    .join()
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

function createFaultFilter(settleTicks: number): FaultFilter {
  let ticks = 0
  const reported = createReportedFault()
  return {
    isNew(fault) {
      ticks += 1
      return ticks >= settleTicks && reported.isNews(fault.message)
    },
    pending: () => ticks > 0,
    clear() {
      ticks = 0
      reported.end()
    },
  }
}
