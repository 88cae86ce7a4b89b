// The key that signs checkpoints: a file with an Ed25519 private key, in PEM.
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { AuditEvent } from './event.ts'
import { encodedKey, noteSigner, type NoteSigner } from './signed-note.ts'

/** As for the key of call chains: a group may read it, as with a mounted secret of Kubernetes. */
const OTHERS = 0o007

/**
 * Reads the key in `file`, which signs under `keyName`.
 * @throws {Error} says what is wrong with the file and what to do; the message does not name the file
 */
export function loadSigningKey(file: string, keyName: string): NoteSigner {
  const pem = readFileSync(file, 'utf8')
  if ((statSync(file).mode & OTHERS) !== 0)
    throw new Error('every user can read or write the key; run chmod o-rwx on it')
  const key = privateKeyIn(pem)
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new Error(`must be an Ed25519 key, but is ${key.asymmetricKeyType ?? 'of an unknown type'}; ${CURE}`)
  }
  return noteSigner(keyName, key)
}

/** The record of the key, for the beginning of a log and after a change of the key. */
export function signingKeyEvent({ verifier }: NoteSigner, timestamp: string): AuditEvent {
  const { name, id } = verifier
  return { event: 'audit_signing_key', timestamp, key_name: name, key_id: id, public_key: encodedKey(verifier) }
}

const CURE = 'make one with "crank audit key --out <file>"'

function privateKeyIn(pem: string): KeyObject {
  if (!pem.includes('PRIVATE KEY-----')) throw new Error(`has no private key in PEM; ${CURE}`)
  if (pem.includes('ENCRYPTED')) throw new Error('the private key is encrypted; store it without a passphrase')
  try {
    return createPrivateKey(pem)
  } catch (cause: unknown) {
    throw new Error(`the private key cannot be read; ${CURE}`, { cause })
  }
}
