// The credentials in use, of whatever source: replaced as one snapshot, and kept while the source has no good ones.
import { isoTime } from '../../core/iso-time.ts'
import { createExpiryReport } from './bundle-expiry.ts'
import type { Credentials } from './credential-set.ts'
import { createListeners } from '../listeners.ts'
import type { EventLog } from '../logger.ts'

export type CredentialSource = {
  readonly current: () => Credentials
  /** Called after each swap; the returned function unsubscribes. */
  readonly onChange: (listener: (next: Credentials, previous: Credentials) => void) => () => void
  /** Called when the source has no good credentials, once for each different fault; files must have been broken for 2 s. */
  readonly onFault: (listener: (error: Error) => void) => () => void
  /** The fault that keeps the credentials in use from being renewed; undefined: there is none. */
  readonly fault: () => string | undefined
  readonly close: () => void
}

export type HeldCredentials = CredentialSource & {
  /** Swaps to a set that fits together; nothing happens when it is the one in use. Ends the fault. */
  readonly replace: (next: Credentials) => void
  /** The source has no good credentials. */
  readonly report: (fault: Error) => void
  /** Logs which trust anchors have expired since the last call. */
  readonly reportExpiry: () => void
}

/** After `close` nothing is swapped or reported. */
export function createHeldCredentials(
  first: Credentials,
  { now, log }: { readonly now: () => number; readonly log: EventLog },
): HeldCredentials {
  let current = first
  let fault: string | undefined
  let closed = false
  const expiry = createExpiryReport({ now, log })
  const onThrown = (err: unknown): void =>
    log.error({ event: 'credentials_listener_failed', err }, 'a listener for credential changes failed')
  const changed = createListeners<[Credentials, Credentials]>(onThrown)
  const faulty = createListeners<[Error]>(onThrown)
  const reportExpiry = (): void => expiry(current.bundles)
  reportExpiry()

  return {
    current: () => current,
    onChange: changed.add,
    onFault: faulty.add,
    fault: () => fault,
    reportExpiry,
    replace(next) {
      if (closed) return
      fault = undefined
      if (isSameSet(next, current)) return
      const previous = current
      current = { ...next, generation: previous.generation + 1 }
      const { generation, spiffeId, notAfterMs } = current
      const fields = { event: 'credentials_changed', generation, spiffe_id: spiffeId, not_after: isoTime(notAfterMs) }
      log.info(fields, 'credentials changed')
      changed.notify(current, previous)
    },
    report(error) {
      if (closed) return
      fault = error.message
      log.error(
        { event: 'credentials_broken', reason: error.message },
        'the credentials cannot be renewed; the old ones stay in use',
      )
      faulty.notify(error)
    },
    close: () => void (closed = true),
  }
}

function isSameSet(one: Credentials, other: Credentials): boolean {
  return contentOf(one) === contentOf(other)
}

function contentOf({ certPem, keyPem, bundles, revocations }: Credentials): string {
  const anchors = [...bundles].map(([domain, each]) => [domain, each.map(String)])
  return JSON.stringify([certPem, keyPem, anchors, revocations.fingerprint])
}
