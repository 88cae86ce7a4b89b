import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  noteSigner,
  noteVerifier,
  parseNote,
  parseVerifierKey,
  signatureOf,
  verifierKey,
} from '../../src/audit/signed-note.ts'

// The example of golang.org/x/mod/sumdb/note, the implementation that the specification describes: key, text and signature.
// The private key is published there; behind its type byte.
const SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1)
const KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const LINE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const NOTE = `${TEXT}\n${LINE}`

test('the example note of the specification is valid under its key, and not once a byte of it is changed', () => {
  const key = parseVerifierKey(KEY)
  expect(key).toMatchObject({ name: 'PeterNeumann', id: 'c74f20a3' })
  expect(verifierKey(key)).toBe(KEY)
  const note = parseNote(NOTE)!
  expect(note.text).toBe(TEXT)
  expect(signatureOf(note, key)).toBe('valid')
  expect(signatureOf({ ...note, text: TEXT.replace('answer', 'Answer') }, key)).toBe('invalid')
})

test('the private key of the example makes the same note, byte for byte', () => {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED])
  const signer = noteSigner('PeterNeumann', createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
  expect(verifierKey(signer.verifier)).toBe(KEY)
  expect(signer.sign(TEXT)).toBe(NOTE)
})

test('signatures of other keys are passed over: also of the same name, or of the same id', () => {
  const [one, other] = [key('one'), key('one')]
  const text = 'text\n'
  const note = parseNote(`${one.sign(text)}${LINE}${other.sign(text).slice(text.length + 1)}`)!
  expect(note.signatures).toHaveLength(3)
  for (const { verifier } of [one, other]) expect(signatureOf(note, verifier)).toBe('valid')
  expect(signatureOf(note, key('one').verifier)).toBe('absent')
  expect(signatureOf(note, { ...key('two').verifier, id: one.verifier.id })).toBe('absent')
})

test('the text may have empty lines: the last one ends it', () => {
  const signer = key('k')
  expect(parseNote(signer.sign('a\n\nb\n'))).toMatchObject({ text: 'a\n\nb\n', signatures: [{ name: 'k' }] })
})

test.each([
  ['no signature', TEXT],
  ['no empty line', TEXT + LINE],
  ['no line feed at the end', NOTE.slice(0, -1)],
  ['a line that is no signature', `${NOTE}text\n`],
  ['another dash', NOTE.replace('\u2014', '-')],
  ['a name with a plus', NOTE.replace('\u2014 PeterNeumann', '\u2014 Peter+Neumann')],
  ['broken base64', NOTE.replace('x08go/', 'x08go!')],
  ['base64 that is not canonical', NOTE.replace('BwJnAM=', 'BwJnAN=')],
  ['a signature of no byte', `${TEXT}\n\u2014 a AAAAAA==\n`],
  ['a control character', NOTE.replace('answer', 'ans\u0007wer')],
  ['bytes that are not UTF-8', NOTE.replace('answer', Buffer.of(0xff).toString())],
  ['more than a hundred signatures', NOTE + LINE.repeat(100)],
])('a note with %s is none', (_, note) => {
  expect(parseNote(note)).toBeUndefined()
})

test.each([
  ['an id that does not fit', KEY.replace('c74f20a3', 'c74f20a4'), 'does not fit'],
  ['another type of signature', KEY.replace('+AR', '+BB'), 'Ed25519'],
  ['a key that is too short', KEY.slice(0, -4), 'Ed25519'],
  ['no key', 'PeterNeumann', 'not a verifier key'],
])('a verifier key with %s is refused', (_, text, message) => {
  expect(() => parseVerifierKey(text)).toThrow(message)
})

test('keys of other algorithms and names that no note can have are refused', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  expect(() => noteVerifier('a', publicKey)).toThrow('not an Ed25519 key, but ec')
  const good = createPublicKey(generateKeyPairSync('ed25519').privateKey)
  for (const name of ['', 'a b', 'a+b', 'a\u2003b']) expect(() => noteVerifier(name, good)).toThrow('the name of a key')
})

function key(name: string) {
  return noteSigner(name, generateKeyPairSync('ed25519').privateKey)
}
