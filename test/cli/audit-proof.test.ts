// What somebody can do to an audit log, and how `crank audit verify` shows it.
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { verifierKey } from '../../src/audit/signed-note.ts'
import { outcome } from '../controller/audit/support.ts'
import { crank } from './in-process.ts'
import {
  checkpointOf,
  keepLines,
  newFolder,
  newKey,
  TIME,
  writeCheckpoint,
  writeLog,
  writeSegments,
  type MadeLog,
} from './proven-log.ts'

const SIGNER = newKey()
const VKEY = verifierKey(SIGNER.verifier)
const SIZES = [10, 10, 5]
const ALL = 25

let dir = ''
let log: MadeLog
beforeEach(() => {
  dir = newFolder()
  log = writeLog(join(dir, 'audit'), 0, SIZES)
})

type Fault = { why: string; seq: number; line: number; file: string; message: string }
type Slot = {
  ok: boolean
  records: number
  slot: number | null
  faults: Fault[]
  faultCount: number
  checkpoint: { seq: number; trust: string } | null
}
type Answer = { code: number | null; ok: boolean; logs: Slot[]; whys: string[] }

async function verify(...args: string[]): Promise<Answer> {
  const { code, stdout, stderr } = await crank(['audit', 'verify', '--state-dir', dir, '--json', ...args])
  expect(stderr).toBe('')
  const answer = JSON.parse(stdout) as { ok: boolean; logs: Slot[] }
  return { code, ...answer, whys: answer.logs.flatMap(({ faults }) => faults.map(({ why }) => why)) }
}

async function say(...args: string[]): Promise<string> {
  const { stdout, stderr } = await crank(['audit', 'verify', '--state-dir', dir, ...args])
  return stdout + stderr
}

/** A copy of the newest checkpoint that somebody keeps elsewhere. */
function keptCheckpoint(seq = ALL, name = 'kept'): string {
  const file = join(dir, name)
  writeFileSync(file, checkpointOf(log.heads[seq], 0, SIGNER))
  return file
}

test('a whole log of several segments fits its checkpoint, and the key proves it', async () => {
  const kept = keptCheckpoint(20)
  expect(await verify('--checkpoint', kept, '--public-key', VKEY)).toMatchObject({
    code: 0,
    ok: true,
    logs: [
      {
        slot: 0,
        records: ALL,
        faults: [],
        checkpoint: { seq: 20, time: TIME, source: kept, key: VKEY, trust: 'given' },
      },
    ],
  })
  expect(await say('--checkpoint', kept, '--public-key', VKEY)).toContain(
    `the records up to 20 are as in the checkpoint of ${TIME} (${kept}), signed by ${VKEY}; nothing proves that the 5 records after it are the last`,
  )
})

test('a cut tail verifies as whole by itself, which the command says', async () => {
  keepLines(log.files[2]!, 2)
  expect(await verify()).toMatchObject({ code: 0, logs: [{ records: 22, checkpoint: null }] })
  expect(await say()).toContain('no checkpoint to compare with: records that were cut off at the end')
})

test('a cut tail shows against a checkpoint that was kept', async () => {
  const kept = keptCheckpoint()
  keepLines(log.files[2]!, 2)
  const answer = await verify('--checkpoint', kept, '--public-key', VKEY)
  expect(answer).toMatchObject({ code: 1, whys: ['tail_cut'], logs: [{ faults: [{ seq: 23 }] }] })
  expect(await say('--checkpoint', kept)).toContain(
    `the log ends with record 22, but the checkpoint of ${TIME} (${kept}) shows that record 25 existed: records 23 to 25 are missing at the end`,
  )
})

test("a cut tail shows against the log's own checkpoint, even an unsigned one", async () => {
  writeCheckpoint(log.folder, checkpointOf(log.heads[ALL], 0))
  keepLines(log.files[2]!, 2)
  expect(await verify()).toMatchObject({ code: 1, whys: ['tail_cut'] })
})

test('the last segment deleted is a cut tail', async () => {
  writeCheckpoint(log.folder, checkpointOf(log.heads[ALL], 0, SIGNER))
  rmSync(log.files[2]!)
  expect(await verify()).toMatchObject({ code: 1, whys: ['tail_cut'], logs: [{ records: 20, faults: [{ seq: 21 }] }] })
})

test('an emptied file shows: the only one against a checkpoint, one in the middle by itself', async () => {
  truncateSync(log.files[1]!)
  expect(await verify()).toMatchObject({
    code: 1,
    whys: ['sequence_gap'],
    logs: [{ faults: [{ seq: 11, file: log.files[2] }] }],
  })
  const only = writeLog(join(dir, 'audit'), 1, [7])
  writeCheckpoint(only.folder, checkpointOf(only.heads[7], 1))
  truncateSync(only.files[0]!)
  const { logs } = await verify()
  expect(logs[1]).toMatchObject({ slot: 1, records: 0, faults: [{ why: 'tail_cut', seq: 1 }] })
  expect(await say()).toContain('the log is empty, but the checkpoint')
})

test('a slot whose segments are all gone shows by what is left in its folder, and by a checkpoint for it', async () => {
  const kept = keptCheckpoint()
  writeCheckpoint(log.folder, readFileSync(kept, 'utf8'))
  for (const file of log.files) rmSync(file)
  expect(await verify()).toMatchObject({ code: 1, whys: ['tail_cut'] })
  rmSync(log.folder, { recursive: true })
  expect(await verify('--checkpoint', kept)).toMatchObject({
    code: 1,
    whys: ['tail_cut'],
    logs: [{ slot: 0, records: 0 }],
  })
})

test('a history that was rewritten with right hashes shows against any later checkpoint', async () => {
  const [old, newest] = [keptCheckpoint(10, 'old'), keptCheckpoint()]
  const events = (n: number, size: number) =>
    Array.from({ length: size }, (_, i) => outcome(n === 1 && i === 3 ? 'forged' : `a-${n}-${i}`))
  writeSegments(join(dir, 'audit'), 0, [events(0, 10), events(1, 9), events(2, 4)])
  expect(await verify()).toMatchObject({ code: 0, logs: [{ records: ALL }] })
  expect(await verify('--checkpoint', old)).toMatchObject({ code: 0 })
  const answer = await verify('--checkpoint', old, '--checkpoint', newest)
  expect(answer).toMatchObject({ code: 1, whys: ['history_rewritten'], logs: [{ faults: [{ seq: 11 }] }] })
  expect(answer.logs[0]!.faults[0]!.message).toContain('one or more of the records 11 to 25 were changed')
})

test('the oldest segment deleted shows, unless its removal is on record', async () => {
  rmSync(log.files[0]!)
  const answer = await verify()
  expect(answer).toMatchObject({ code: 1, whys: ['begins_late'] })
  expect(answer.logs[0]!.faults[0]!.message).toContain('records 1 to 10 are missing')
  const removed = (last: number) =>
    ({
      event: 'audit_segments_removed',
      timestamp: TIME,
      first_seq: 1,
      last_seq: last,
      last_hash: log.heads[last]!.hash,
      reason: 'age',
    }) as const
  const again = (last: number): MadeLog => {
    const events = (n: number) => Array.from({ length: n === 0 ? 10 : 9 }, (_, i) => outcome(`a-${n}-${i}`))
    return writeSegments(join(dir, 'audit'), 0, [events(0), events(1), [removed(last)]])
  }
  rmSync(again(10).files[0]!)
  expect(await verify()).toMatchObject({ code: 0, logs: [{ records: 12, continues: { seq: 10 } }] })
  expect(await say()).toContain('the records up to 10 were removed; their removal is on record')
  const late = again(10)
  for (const file of late.files.slice(0, 2)) rmSync(file)
  expect((await verify()).logs[0]!.faults).toMatchObject([{ why: 'begins_late', seq: 11 }])
})

test('a segment in the middle deleted shows, with what is missing and where', async () => {
  rmSync(log.files[1]!)
  const { code, logs } = await verify()
  expect(code).toBe(1)
  expect(logs[0]!.faults).toMatchObject([
    {
      why: 'sequence_gap',
      seq: 11,
      line: 1,
      file: log.files[2],
      message: expect.stringContaining(
        'records 11 to 20 are missing; the controller found that the one before was renamed',
      ),
    },
  ])
})

test('segments with exchanged names show, each of them', async () => {
  const [, second = '', third = ''] = log.files
  renameSync(second, `${second}.x`)
  renameSync(third, second)
  renameSync(`${second}.x`, third)
  const { code, whys } = await verify()
  expect(code).toBe(1)
  expect(whys.filter((why) => why === 'misnamed_segment')).toHaveLength(2)
  expect(whys).toContain('sequence_gap')
})

test('all faults are listed with segment, line and number, up to 20 of them', async () => {
  const change = (file: string, line: number): void => {
    const lines = readFileSync(file, 'latin1').split('\n')
    lines[line - 1] = lines[line - 1]!.replace('"status":200', '"status":201')
    writeFileSync(file, lines.join('\n'))
  }
  for (const [n, line] of [
    [0, 4],
    [1, 7],
    [2, 5],
  ] as const)
    change(log.files[n]!, line)
  const few = await verify()
  expect(few.logs[0]!.faults).toMatchObject([
    { file: log.files[0], line: 4, seq: 4, why: 'hash_mismatch' },
    { file: log.files[1], line: 7, seq: 17, why: 'hash_mismatch' },
    { file: log.files[2], line: 5, seq: 25, why: 'hash_mismatch' },
  ])
  expect(await say()).toMatch(/11\.jsonl line 7, record 17: the record was changed/)
  writeFileSync(log.files[1]!, 'no record\n'.repeat(40))
  const many = await verify()
  expect(many.logs[0]!.faults).toHaveLength(20)
  expect(many.logs[0]!.faultCount).toBeGreaterThan(40)
  expect(await say()).toMatch(/and \d+ more faults/)
})

test('foreign bytes and a torn line in the middle of a chain are faults', async () => {
  writeFileSync(log.files[1]!, 'foreign', { flag: 'a' })
  expect(await verify()).toMatchObject({
    code: 1,
    whys: ['torn_line'],
    logs: [{ faults: [{ line: 11, file: log.files[1] }] }],
  })
  writeFileSync(log.files[2]!, 'foreign\n', { flag: 'a' })
  expect((await verify()).whys).toEqual(['torn_line', 'not_json'])
})

test('a forged checkpoint, a wrong key, an unsigned one and none at all are faults when a key is given', async () => {
  const kept = keptCheckpoint()
  const forged = join(dir, 'forged')
  writeFileSync(forged, readFileSync(kept, 'utf8').replace('\n25\n', '\n24\n'))
  expect(await verify('--checkpoint', forged, '--public-key', VKEY)).toMatchObject({
    code: 1,
    whys: ['checkpoint_forged'],
  })
  const other = verifierKey(newKey().verifier)
  expect(await verify('--checkpoint', kept, '--public-key', other)).toMatchObject({
    code: 1,
    whys: ['checkpoint_untrusted'],
  })
  expect(await verify('--checkpoint', kept, '--public-key', other, '--public-key', VKEY)).toMatchObject({ code: 0 })
  writeFileSync(forged, checkpointOf(log.heads[ALL], 0))
  expect(await verify('--checkpoint', forged, '--public-key', VKEY)).toMatchObject({
    code: 1,
    whys: ['checkpoint_unsigned'],
  })
  expect(await verify('--public-key', VKEY)).toMatchObject({ code: 1, whys: ['checkpoint_missing'] })
})

test('a checkpoint put in the place of the own one by somebody without the key is a fault', async () => {
  keepLines(log.files[2]!, 2)
  writeCheckpoint(log.folder, checkpointOf(log.heads[22], 0, newKey()))
  expect(await verify()).toMatchObject({ code: 0, logs: [{ checkpoint: { trust: 'none' } }] })
  expect(await verify('--public-key', VKEY)).toMatchObject({ code: 1, whys: ['checkpoint_untrusted'] })
})

test('a checkpoint of another slot or of another controller is refused as such', async () => {
  const other = writeLog(join(dir, 'audit'), 1, [5], 'b')
  const [ofOther, foreign] = [join(dir, 'other'), join(dir, 'foreign')]
  writeFileSync(ofOther, checkpointOf(other.heads[5], 1, SIGNER))
  expect(await verify('--audit-file', log.files[0]!, '--checkpoint', ofOther)).toMatchObject({
    code: 1,
    whys: ['checkpoint_foreign'],
  })
  // Signed by the right key, but for a log that the key does not sign for.
  writeFileSync(foreign, SIGNER.sign(checkpointOf(log.heads[ALL], 0, undefined, 'other.example/controller/audit')))
  expect(await verify('--checkpoint', foreign, '--public-key', VKEY)).toMatchObject({
    code: 1,
    whys: ['checkpoint_foreign', 'checkpoint_missing'],
  })
  writeCheckpoint(log.folder, checkpointOf(log.heads[ALL], 0, SIGNER))
  expect(await verify('--checkpoint', foreign)).toMatchObject({ code: 1, whys: ['checkpoint_foreign'] })
})

test('an older checkpoint put back proves only what it covers; a newer one elsewhere shows the cut', async () => {
  const newest = keptCheckpoint()
  writeCheckpoint(log.folder, checkpointOf(log.heads[20], 0, SIGNER))
  keepLines(log.files[2]!, 2)
  expect(await verify('--public-key', VKEY)).toMatchObject({
    code: 0,
    logs: [{ checkpoint: { seq: 20 }, ownCheckpointBehind: 2 }],
  })
  expect(await say('--public-key', VKEY)).toContain('nothing proves that the 2 records after it are the last')
  expect(await verify('--public-key', VKEY, '--checkpoint', newest)).toMatchObject({ code: 1, whys: ['tail_cut'] })
})

test('without a given key the key that the log names is used, and a forgery against it is a fault', async () => {
  const { name, id } = SIGNER.verifier
  const named = {
    event: 'audit_signing_key',
    timestamp: TIME,
    key_name: name,
    key_id: id,
    public_key: VKEY.split('+').slice(2).join('+'),
  } as const
  const made = writeSegments(join(dir, 'audit'), 0, [[named, outcome('x')]])
  for (const file of log.files.slice(1)) rmSync(file)
  const signed = checkpointOf(made.heads[2], 0, SIGNER)
  writeCheckpoint(made.folder, signed)
  expect(await verify()).toMatchObject({ code: 0, logs: [{ checkpoint: { trust: 'named', key: VKEY } }] })
  expect(await say()).toContain('the log itself names that key')
  writeCheckpoint(made.folder, signed.replace('T10:00', 'T11:00'))
  expect(await verify()).toMatchObject({ code: 1, whys: ['checkpoint_forged'] })
})

test('--checkpoint takes the /health of a controller, or a note by HTTP', async () => {
  const note = checkpointOf(log.heads[ALL], 0, SIGNER)
  const url = await serve((path) =>
    path === '/health' ? JSON.stringify({ status: 'ok', audit: { checkpoint: note } }) : note,
  )
  for (const path of ['/health', '/note']) {
    expect(await verify('--checkpoint', url + path, '--public-key', VKEY)).toMatchObject({
      code: 0,
      logs: [{ checkpoint: { seq: ALL, source: url + path } }],
    })
  }
  keepLines(log.files[2]!, 1)
  expect(await verify('--checkpoint', `${url}/health`)).toMatchObject({ code: 1, whys: ['tail_cut'] })
  expect((await crank(['audit', 'verify', '--state-dir', dir, '--checkpoint', 'http://127.0.0.1:1/health'])).code).toBe(
    3,
  )
})

test('--since begins with the segment of a record or a time, and says that the ones before were not read', async () => {
  writeFileSync(log.files[0]!, 'not a record\n')
  expect(await verify('--since', '15')).toMatchObject({
    code: 0,
    logs: [{ records: 15, isWhole: false, continues: { seq: 10 } }],
  })
  expect(await verify('--since', '21')).toMatchObject({ code: 0, logs: [{ records: 5 }] })
  expect(await verify('--since', '10')).toMatchObject({ code: 1 })
  expect(await verify('--since', '2026-12-02')).toMatchObject({ code: 0, logs: [{ records: 5 }] })
  expect(await say('--since', '15')).toContain('the records up to 10 were not checked')
})

test('what cannot be used is wrong usage: no checkpoint, a private key, nothing at all', async () => {
  const code = async (...args: string[]) => (await crank(['audit', 'verify', '--state-dir', dir, ...args])).code
  const [text, key] = [join(dir, 'text'), join(dir, 'key')]
  writeFileSync(text, 'nothing\n')
  writeFileSync(key, SIGNER.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  expect(await code('--checkpoint', text)).toBe(2)
  expect(await code('--checkpoint', join(dir, 'nowhere'))).toBe(2)
  expect(await code('--public-key', key)).toBe(2)
  expect(await code('--since', 'yesterday')).toBe(2)
  copyFileSync(log.files[0]!, join(dir, 'copy'))
  expect(await code('--audit-file', join(dir, 'copy'))).toBe(0)
  rmSync(join(dir, 'audit'), { recursive: true })
  expect(await code()).toBe(2)
})

test('crank audit key makes a key that signs, which is never overwritten, and prints what verifies it', async () => {
  const out = join(dir, 'audit.key')
  const made = await crank(['audit', 'key', '--out', out])
  expect(made).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^crank\.local\/controller\/audit\+[0-9a-f]{8}\+A/),
  })
  const { loadSigningKey } = await import('../../src/audit/signing-key.ts')
  const signer = loadSigningKey(out, 'crank.local/controller/audit')
  expect(`${verifierKey(signer.verifier)}\n`).toBe(made.stdout)
  const pub = join(dir, 'audit.pub')
  writeFileSync(pub, made.stdout)
  writeCheckpoint(log.folder, checkpointOf(log.heads[ALL], 0, signer))
  expect(await verify('--public-key', pub)).toMatchObject({ code: 0, logs: [{ checkpoint: { trust: 'given' } }] })
  expect((await crank(['audit', 'key', '--out', out])).code).toBe(2)
})

async function serve(answer: (path: string) => string): Promise<string> {
  const server: Server = createServer((request, response) => response.end(answer(request.url ?? '')))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a given checkpoint of records that were not read is a fault, unless a newer one is compared', async () => {
  const old = keptCheckpoint(5, 'old')
  expect(await verify('--since', '21', '--checkpoint', old)).toMatchObject({
    code: 1,
    whys: ['checkpoint_not_compared'],
    logs: [{ ok: false, faults: [{ seq: 5 }] }],
  })
  expect(await say('--since', '21', '--checkpoint', old)).toContain(
    `(${old}) was not compared: it names record 5, and what was read begins with record 21`,
  )
  expect(await verify(log.files[2]!, '--checkpoint', old)).toMatchObject({ code: 1, whys: ['checkpoint_not_compared'] })
  const both = ['--since', '21', '--checkpoint', old, '--checkpoint', keptCheckpoint(22, 'new')]
  expect(await verify(...both)).toMatchObject({ code: 0, logs: [{ checkpoint: { seq: 22 } }] })
  expect(await say(...both)).toContain('given checkpoints of records before those: 1, not compared')
})

test('a given checkpoint of the record before the first one is compared with what that continues', async () => {
  expect(await verify('--since', '21', '--checkpoint', keptCheckpoint(20))).toMatchObject({ code: 0, whys: [] })
})
