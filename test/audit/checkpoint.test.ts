import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readOwnCheckpoints, checkpointFiles } from '../../src/audit/checkpoint-files.ts'
import { standingOf, trustedKey } from '../../src/audit/checkpoint-trust.ts'
import { checkpointKeyName, checkpointsIn, checkpointText, parseCheckpoints } from '../../src/audit/checkpoint.ts'
import { noteSigner, verifierKey } from '../../src/audit/signed-note.ts'
import { loadSigningKey, signingKeyEvent } from '../../src/audit/signing-key.ts'

const NAME = checkpointKeyName('spiffe://crank.local/controller')
const PRIVATE_KEY = generateKeyPairSync('ed25519').privateKey
const SIGNER = noteSigner(NAME, PRIVATE_KEY)
const OF = { origin: `${NAME}/0`, seq: 1000, hash: 'ab'.repeat(32), time: '2026-12-01T10:00:00.000Z' }
const BODY = `crank.local/controller/audit/0\n1000\n${Buffer.from(OF.hash, 'hex').toString('base64')}\n${OF.time}\n`
const { publicKey } = generateKeyPairSync('ed25519')

test('a checkpoint has the lines of a transparency log, and one with the time', () => {
  expect(checkpointText(OF)).toBe(BODY)
  expect(checkpointText(OF, SIGNER)).toBe(SIGNER.sign(BODY))
})

test('signed and unsigned checkpoints are read from one text, one after another', () => {
  const text = [
    checkpointText(OF, SIGNER),
    checkpointText({ ...OF, seq: 1001 }),
    checkpointText({ ...OF, seq: 1002 }, SIGNER),
  ].join('\n')
  const { found, broken } = parseCheckpoints(text)
  expect(broken).toBe(0)
  expect(found).toMatchObject([
    { seq: 1000, hash: OF.hash, slot: 0, note: { text: BODY } },
    { seq: 1001, note: undefined },
    { seq: 1002, note: { signatures: [{ name: NAME }] } },
  ])
  expect(found.map((one) => standingOf(one, [trustedKey(verifierKey(SIGNER.verifier))]).standing)).toEqual([
    'signed',
    'unsigned',
    'signed',
  ])
  expect(parseCheckpoints(text.replaceAll('\n', '\r\n')).found).toHaveLength(3)
})

test.each([
  ['no slot', BODY.replace('/0\n', '\n')],
  ['a number that is none', BODY.replace('1000', '01000')],
  ['a hash that is too short', BODY.replace('q6urq', '')],
  ['no time', BODY.split('\n').slice(0, 3).join('\n')],
  ['another time zone', BODY.replace('Z\n', '+01:00\n')],
  ['a broken signature', `${BODY}\n\u2014 name x\n`],
])('a text with %s is no checkpoint', (_, text) => {
  expect(parseCheckpoints(text)).toEqual({ found: [], broken: 1 })
})

test('extension lines of other tools are passed over', () => {
  expect(parseCheckpoints(`${BODY}more\n`).found).toMatchObject([{ seq: 1000 }])
})

test('the checkpoints of an answer in JSON are found wherever they are', () => {
  const answer = {
    status: 'ok',
    audit: { checkpoint: checkpointText(OF) },
    slots: [{ checkpoint: checkpointText(OF, SIGNER) }, { checkpoint: 7 }],
  }
  expect(checkpointsIn(JSON.stringify(answer)).found).toHaveLength(2)
  expect(checkpointsIn('{}')).toEqual({ found: [], broken: 0 })
  expect(checkpointsIn('{"checkpoint":"x"}')).toEqual({ found: [], broken: 1 })
})

test('a public key in PEM is trusted under any name, and a private one is refused', () => {
  const [signed] = parseCheckpoints(checkpointText(OF, SIGNER)).found
  const pem = (key: KeyObject, type: 'spki' | 'pkcs8'): string => String(key.export({ format: 'pem', type }))
  const other = trustedKey(pem(publicKey, 'spki'))
  expect(standingOf(signed!, [other])).toEqual({ standing: 'untrusted' })
  const right = noteSigner(NAME, PRIVATE_KEY).verifier.publicKey
  expect(standingOf(signed!, [other, trustedKey(pem(right, 'spki'))])).toMatchObject({
    standing: 'signed',
    by: { name: NAME },
  })
  expect(() => trustedKey(pem(PRIVATE_KEY, 'pkcs8'))).toThrow('private key')
  expect(() => trustedKey('-----BEGIN nothing')).toThrow()
})

test('a part of a checkpoint that a crash left in the history is skipped', () => {
  const folder = temporaryFolder()
  const { newest, history, older } = checkpointFiles(folder)
  expect(readOwnCheckpoints(folder)).toEqual({ newest: undefined, all: [] })
  const [one, two, three, four] = [1, 2, 3, 4].map((seq) => checkpointText({ ...OF, seq }, SIGNER))
  writeFileSync(older, `\n\n${one}`)
  writeFileSync(history, `\n\n${two}\n${three!.slice(0, 60)}\n\n${three}`)
  writeFileSync(newest, four!)
  const { newest: last, all } = readOwnCheckpoints(folder)
  expect(last).toMatchObject({ seq: 4 })
  expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
})

test('the signing key is an Ed25519 private key that not every user can read, or is refused with what to do', () => {
  const file = join(temporaryFolder(), 'key')
  const load = (pem: string, mode = 0o600) => {
    writeFileSync(file, pem)
    chmodSync(file, mode)
    return () => loadSigningKey(file, NAME)
  }
  const pem = String(PRIVATE_KEY.export({ format: 'pem', type: 'pkcs8' }))
  const signer = load(pem, 0o640)()
  expect(signingKeyEvent(signer, OF.time)).toEqual({
    event: 'audit_signing_key',
    timestamp: OF.time,
    key_name: NAME,
    key_id: signer.verifier.id,
    public_key: verifierKey(signer.verifier).split('+').slice(2).join('+'),
  })
  expect(load(pem, 0o604)).toThrow('chmod o-rwx')
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  expect(load(String(ec))).toThrow('must be an Ed25519 key, but is ec; make one with "crank audit key')
  expect(load(String(publicKey.export({ format: 'pem', type: 'spki' })))).toThrow('no private key')
  const secret = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' } as const
  expect(load(String(PRIVATE_KEY.export(secret)))).toThrow('encrypted')
  expect(load(pem.replace(/\n.{20}/, '\nAAAA'))).toThrow('cannot be read')
  expect(() => loadSigningKey(`${file}.none`, NAME)).toThrow('ENOENT')
})

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'crank-checkpoint-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
