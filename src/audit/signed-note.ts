// Notes: a text that is signed by one or more keys, as the C2SP specification "signed-note" has it (c2sp.org/signed-note); other
// tools read and check them. Only Ed25519 signatures (type 1) are made and checked.
import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'

/** `id`: eight hexadecimal digits. A key is known by both: another key may have the same name, or the same id. */
export type NoteVerifier = { readonly name: string; readonly id: string; readonly publicKey: KeyObject }

export type NoteSigner = {
  readonly verifier: NoteVerifier
  /** The note of `text`, which ends with a line feed. */
  readonly sign: (text: string) => string
}

/** `line`: as it is in the note. */
type NoteSignature = { readonly line: string; readonly name: string; readonly id: string; readonly signature: Buffer }
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] }

const ED25519 = Buffer.of(1)
const KEY_BYTES = 32
const ID_BYTES = 4
/** `— `, with an em dash. */
const SIGNATURE_LINE = /^\u2014 ([^\s+\x85]+) ([A-Za-z0-9+/]+={0,2})$/u
const KEY_NAME = /^[^\s+\x85]+$/u
const VERIFIER_KEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/
const MAX_SIGNATURES = 100

/** @throws {TypeError} when the key is not an Ed25519 key, or the name cannot be that of a key */
export function noteVerifier(name: string, publicKey: KeyObject): NoteVerifier {
  if (!KEY_NAME.test(name)) throw new TypeError(`"${name}" cannot be the name of a key: no spaces, no "+", not empty`)
  const hash = createHash('sha256').update(`${name}\n`).update(ED25519).update(rawKey(publicKey))
  return { name, id: hash.digest().subarray(0, ID_BYTES).toString('hex'), publicKey }
}

/** @throws {TypeError} as `noteVerifier` */
export function noteSigner(name: string, privateKey: KeyObject): NoteSigner {
  const verifier = noteVerifier(name, createPublicKey(privateKey))
  return {
    verifier,
    sign(text) {
      const signature = Buffer.concat([Buffer.from(verifier.id, 'hex'), sign(null, Buffer.from(text), privateKey)])
      return `${text}\n\u2014 ${name} ${signature.toString('base64')}\n`
    },
  }
}

/** The public key with its type, as a verifier key and our records have it. */
export function encodedKey({ publicKey }: NoteVerifier): string {
  return Buffer.concat([ED25519, rawKey(publicKey)]).toString('base64')
}

/** `<name>+<id>+<key>`: the form in which the tools of notes take a public key. */
export function verifierKey(verifier: NoteVerifier): string {
  return `${verifier.name}+${verifier.id}+${encodedKey(verifier)}`
}

/** Reads a verifier key. @throws {TypeError} when it is none, not one of Ed25519, or its id does not fit */
export function parseVerifierKey(text: string): NoteVerifier {
  const [, name = '', id, key = ''] = VERIFIER_KEY.exec(text.trim()) ?? []
  const bytes = Buffer.from(key, 'base64')
  if (id === undefined) throw new TypeError('not a verifier key, which is <name>+<key id>+<key>')
  if (bytes.length !== 1 + KEY_BYTES || bytes[0] !== ED25519[0])
    throw new TypeError('not the key of an Ed25519 signature')
  const x = bytes.subarray(1).toString('base64url')
  const verifier = noteVerifier(name, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }))
  if (verifier.id !== id)
    throw new TypeError(`the key id ${id} does not fit; that of this name and key is ${verifier.id}`)
  return verifier
}

/** Splits a note into its text and its signatures; undefined when it is no signed note. */
export function parseNote(note: string): Note | undefined {
  const split = note.lastIndexOf('\n\n')
  // Also without control characters, and in valid UTF-8: the decoder puts U+FFFD for what is not.
  if (split === -1 || !note.endsWith('\n') || /[\0-\x09\x0b-\x1f\ufffd]/.test(note)) return undefined
  const lines = note.slice(split + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) return undefined
  const signatures = lines.map(parseSignature)
  return signatures.every((signature) => signature !== undefined)
    ? { text: note.slice(0, split + 1), signatures }
    : undefined
}

/** `invalid`: there is a signature by this key, and it is not one of this text. `absent`: there is none by this key. */
export function signatureOf(
  { text, signatures }: Note,
  { name, id, publicKey }: NoteVerifier,
): 'valid' | 'invalid' | 'absent' {
  const own = signatures.find((signature) => signature.name === name && signature.id === id)
  if (own === undefined) return 'absent'
  return verify(null, Buffer.from(text), publicKey, own.signature) ? 'valid' : 'invalid'
}

function parseSignature(line: string): NoteSignature | undefined {
  const [, name, encoded = ''] = SIGNATURE_LINE.exec(line) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  if (name === undefined || bytes.length <= ID_BYTES || bytes.toString('base64') !== encoded) return undefined
  return { line, name, id: bytes.toString('hex', 0, ID_BYTES), signature: bytes.subarray(ID_BYTES) }
}

function rawKey(publicKey: KeyObject): Buffer {
  if (publicKey.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`not an Ed25519 key, but ${publicKey.asymmetricKeyType}`)
  return Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
}
