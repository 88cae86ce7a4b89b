// Certificate revocation lists (RFC 5280, section 5), read from their DER.
import { verify, type X509Certificate } from 'node:crypto'
import { readAll, readSequence, TAG, type Value } from './der.ts'

/** A list whose signature is not checked yet. `issuer`: its distinguished name in DER. `serials`: as `serialOf` writes them. */
export type Crl = {
  readonly issuer: Buffer
  readonly serials: ReadonlySet<string>
  /** Whether the key of that certificate has signed the list. */
  readonly isSignedBy: (issuer: X509Certificate) => boolean
}

const OBJECT_ID = 0x06
const TIMES = [0x17, 0x18]
const EXTENSIONS = 0xa0
/** The digest of each signature algorithm, by the content of its object identifier; null: the algorithm has its own. */
const DIGESTS: Readonly<Record<string, string | null>> = {
  '2a8648ce3d040302': 'sha256', // ECDSA
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2a864886f70d01010b': 'sha256', // RSA, PKCS #1
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2b6570': null, // Ed25519
  '2b6571': null, // Ed448
}

/**
 * Parses one list. A critical extension changes what a list or an entry means (delta lists, lists for others' certificates):
 * none is supported.
 * @throws {Error} naming what is wrong with it
 */
export function parseCrl(der: Buffer): Crl {
  const [tbs, algorithm, signature, ...rest] = readSequence(der)
  if (tbs === undefined || algorithm === undefined || signature?.tag !== TAG.bitString || rest.length > 0) {
    throw new Error('not a certificate revocation list')
  }
  const { inner, issuer, entries } = readTbs(tbs)
  if (!inner.der.equals(algorithm.der)) throw new Error('names two signature algorithms')
  const digest = digestOf(algorithm)
  const [unused, ...bits] = signature.content
  if (unused !== 0) throw new Error('its signature is malformed')
  const signed = Buffer.from(bits)
  return {
    issuer: issuer.der,
    serials: new Set(entries.map(serialOfEntry)),
    isSignedBy: ({ publicKey }) => {
      try {
        return verify(digest, tbs.der, publicKey, signed)
      } catch {
        return false // a key of another kind
      }
    },
  }
}

/** A serial number in hexadecimal, in the one form that lists and certificates are compared in. */
export function serialOf(hex: string): string {
  return hex.toLowerCase().replace(/^0+/, '')
}

type Tbs = { readonly inner: Value; readonly issuer: Value; readonly entries: readonly Value[] }

function readTbs(tbs: Value): Tbs {
  const fields = readSequence(tbs.der)
  if (fields[0]?.tag === TAG.integer) fields.shift()
  const [inner, issuer, thisUpdate, ...optional] = fields
  if (inner?.tag !== TAG.sequence || issuer?.tag !== TAG.sequence || !isTime(thisUpdate)) {
    throw new Error('a field of the list is missing')
  }
  if (isTime(optional[0])) optional.shift()
  const entries = optional[0]?.tag === TAG.sequence ? readAll(optional.shift()?.content ?? Buffer.alloc(0)) : []
  const extensions = optional[0]?.tag === EXTENSIONS ? optional.shift() : undefined
  if (optional.length > 0) throw new Error('has a field that it should not have')
  if (extensions !== undefined) refuseCritical(readSequence(extensions.content), 'the list')
  return { inner, issuer, entries }
}

function isTime(value: Value | undefined): boolean {
  return value !== undefined && TIMES.includes(value.tag)
}

function serialOfEntry(entry: Value): string {
  const [serial, date, extensions] = entry.tag === TAG.sequence ? readAll(entry.content) : []
  if (serial?.tag !== TAG.integer || !isTime(date)) throw new Error('an entry is malformed')
  if (extensions !== undefined) refuseCritical(readAll(extensions.content), 'an entry')
  return serialOf(serial.content.toString('hex'))
}

function refuseCritical(extensions: readonly Value[], where: string): void {
  for (const { content } of extensions) {
    const [id, critical] = readAll(content)
    if (critical?.tag !== TAG.boolean || critical.content[0] === 0) continue
    throw new Error(`${where} has a critical extension that is not supported: ${id?.content.toString('hex') ?? '?'}`)
  }
}

function digestOf(algorithm: Value): string | null {
  const [id] = readAll(algorithm.content)
  const digest = id?.tag === OBJECT_ID ? DIGESTS[id.content.toString('hex')] : undefined
  if (digest === undefined) throw new Error('its signature algorithm is not supported')
  return digest
}
