// Replaces who by pseudonyms: an HMAC-SHA-256 of the identity under a key. Equal identities stay equal under one key, and the
// trust domain stays. Free text is removed, since nobody knows what it says. The line then no longer matches its hash, so that
// hash and predecessor are left out.
import { createHmac } from 'node:crypto'
import type { ChainedRecord } from '../chain.ts'
import type { ExportedRecord } from './exported.ts'

export type Pseudonyms = {
  readonly apply: (record: ChainedRecord) => ExportedRecord
}

type Kind = 'spiffe' | 'worker' | 'url' | 'address' | 'name' | 'key'

const SPIFFE_ID = /spiffe:\/\/([a-z0-9._-]+)(\/[A-Za-z0-9._/-]*)?/g
const CAPABILITY = /^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$/
const REMOVED = 'removed'
/** 128 bits of the HMAC. */
const DIGITS = 32
const KEY_DIGITS = 8
/** `reason` of these is a word of our own. */
/** With the hash of an original record a guess at what was replaced could be tested without the key. */
const HASHES = new Set(['hash', 'prev', 'previous_hash', 'last_hash'])
const CODED_REASON = new Set(['audit_segment_opened', 'controller_stopped'])

/** `key`: secret, as long as the identities are personal. */
export function createPseudonyms(key: Buffer): Pseudonyms {
  const digest = (kind: Kind, text: string): string =>
    createHmac('sha256', key).update(`${kind}\0${text}`).digest('hex').slice(0, DIGITS)
  const replace = createReplacer(digest)
  const keyId = digest('key', '').slice(0, KEY_DIGITS)
  return {
    apply(record) {
      const kept = Object.entries(record).filter(([name]) => !HASHES.has(name))
      const members = kept.map(([name, value]) => [name, replace(name, value, record.event)])
      return { ...(Object.fromEntries(members) as ExportedRecord), pseudonym_key: keyId }
    },
  }
}

function createReplacer(digest: (kind: Kind, text: string) => string) {
  const worker = (text: string): string => `worker-${digest('worker', text)}`
  const identities = (text: string): string =>
    text.replace(SPIFFE_ID, (id, domain: string) => `spiffe://${domain}/pseudonym/${digest('spiffe', id)}`)
  const byName: Readonly<Record<string, (text: string) => string>> = {
    worker_id: worker,
    workers: worker,
    worker_url: (text) => `https://${digest('url', text)}.invalid`,
    remote_address: (text) => addressOf(digest('address', text)),
    message: () => REMOVED,
    reason: () => REMOVED,
    names: (text) => changed(text, identities, (name) => digest('name', name)),
  }
  return function replace(name: string, value: unknown, event: string): unknown {
    if (Array.isArray(value)) return value.map((one: unknown) => replace(name, one, event))
    if (typeof value === 'object' && value !== null) {
      // An attempt has a code for its reason.
      const inner = name === 'attempts_made' ? 'audit_segment_opened' : event
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, replace(key, one, inner)]))
    }
    if (typeof value !== 'string' || (name === 'reason' && CODED_REASON.has(event))) return value
    return (byName[name] ?? identities)(value)
  }
}

/** An entry of the list of what a policy changed: a sign, and a SPIFFE ID, a capability or the fingerprint of a certificate. */
function changed(text: string, identities: (text: string) => string, other: (text: string) => string): string {
  const [sign, name] = [text.slice(0, 1), text.slice(1)]
  if (CAPABILITY.test(name)) return text
  return sign + (name.includes('spiffe://') ? identities(name) : other(name))
}

/** An address of the range for documentation, so that fields for addresses take it. */
function addressOf(hex: string): string {
  const groups = hex.slice(0, 24).match(/.{4}/g) ?? []
  return `2001:db8:${groups.join(':')}`
}
