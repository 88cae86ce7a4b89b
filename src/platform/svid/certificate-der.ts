// The outermost fields of a certificate, read from its DER (RFC 5280, 4.1).
import { readSequence, type Value } from './der.ts'

type Tbs = {
  /** As encoded: 0 means version 1, which is encoded by leaving the field out. */
  readonly version: Value | undefined
  readonly serial: Value
  /** In DER, with its header. */
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly publicKey: Value
  /** Unique identifiers and extensions. */
  readonly rest: readonly Value[]
}

const VERSION = 0xa0

/** @throws {Error} when it is not the DER of a certificate */
export function readTbs(certificate: Buffer): Tbs {
  const [tbs] = readSequence(certificate)
  if (tbs === undefined) throw new Error('not a certificate')
  const fields = readSequence(tbs.der)
  const version = fields[0]?.tag === VERSION ? fields[0] : undefined
  const [serial, , issuer, , subject, publicKey, ...rest] = version === undefined ? fields : fields.slice(1)
  if (serial === undefined || issuer === undefined || subject === undefined || publicKey === undefined) {
    throw new Error('a field of the certificate is missing')
  }
  return { version, serial, issuer: issuer.der, subject: subject.der, publicKey, rest }
}
