// Whether a checkpoint is signed by a key that somebody trusts.
import { createPublicKey } from 'node:crypto'
import { checkpointOrigin, type Checkpoint } from './checkpoint.ts'
import { noteVerifier, parseVerifierKey, signatureOf, type NoteVerifier } from './signed-note.ts'

/** The verifier under this name; undefined when the key has another name. */
export type TrustedKey = (name: string) => NoteVerifier | undefined

/** `unsigned`: no signatures. `untrusted`: none by a trusted key. `forged`: a signature that is not right. `foreign`: of another log. */
export type Standing =
  | { readonly standing: 'signed'; readonly by: NoteVerifier }
  | { readonly standing: 'unsigned' | 'untrusted' | 'forged' | 'foreign' }

/**
 * A public key in PEM, which has no name and so may have any, or a verifier key.
 * @throws {Error} when it is neither, a private key, or not one of Ed25519
 */
export function trustedKey(text: string): TrustedKey {
  if (text.includes('PRIVATE KEY-----')) throw new Error('this is a private key: give the public one')
  if (!text.includes('-----BEGIN')) {
    const verifier = parseVerifierKey(text)
    return (name) => (name === verifier.name ? verifier : undefined)
  }
  const publicKey = createPublicKey(text)
  noteVerifier('any', publicKey)
  return (name) => noteVerifier(name, publicKey)
}

export function standingOf({ note, origin, slot }: Checkpoint, keys: readonly TrustedKey[]): Standing {
  if (note === undefined) return { standing: 'unsigned' }
  let isForged = false
  for (const { name } of note.signatures) {
    for (const by of keys.map((key) => key(name)).filter((key) => key !== undefined)) {
      const signature = signatureOf(note, by)
      if (signature === 'invalid') isForged = true
      if (signature !== 'valid') continue
      return origin === checkpointOrigin(name, slot) ? { standing: 'signed', by } : { standing: 'foreign' }
    }
  }
  return { standing: isForged ? 'forged' : 'untrusted' }
}
