// The registry on disk: what is written, when a promise about it is kept, and that a file that cannot be used is only reported.
import { readdir, readFile, rm, stat, writeFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openHintFile, type HintFile } from '../../../src/controller/routing/hint-file.ts'
import { hintLine, hintText, parseHint, type RememberedWorker } from '../../../src/controller/routing/hint-format.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import { parseSpiffeId, parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { tempDir } from '../../fixtures/pki/credential-files.ts'
import { until } from '../../fixtures/until.ts'

const trustDomain = parseTrustDomain('crank.local')
const schema = { verb: 'invoke', name: 'hello_world', version: '1.0.0', input_schema: {}, output_schema: {} }

function workerNamed(workerId: string, lease = `lease of ${workerId}`): RememberedWorker {
  return {
    spiffeId: parseSpiffeId('spiffe://crank.local/worker/hello-world'),
    leaseHash: hashOfLease(lease),
    registeredAt: '2026-11-30T10:00:00.000Z',
    body: {
      worker_id: workerId,
      worker_url: 'https://127.0.0.1:8443',
      capabilities: [{ ...schema, input_schema: { type: 'object' }, output_schema: { type: 'object' } }],
    },
  }
}
const instanceOf = ({ spiffeId, leaseHash, body }: RememberedWorker) => ({
  spiffeId,
  leaseHash,
  workerId: body.worker_id,
})

let dir: Awaited<ReturnType<typeof tempDir>>
let file: string
let lines: { event: string; reason?: string }[]
beforeEach(async () => {
  dir = await tempDir()
  file = join(dir.path, 'registry.json')
  lines = []
})
afterEach(() => dir[Symbol.asyncDispose]())

function openHint(): Promise<HintFile> {
  const note = (line: object): void => void lines.push(line as { event: string })
  return openHintFile({ file, trustDomain, log: { warn: note, error: note } })
}
const idsOnDisk = async (): Promise<string[]> =>
  parseHint(await readFile(file, 'utf8'), trustDomain).map(({ body }) => body.worker_id)

describe('the registry on disk', () => {
  test('has what was remembered, for the owner only, without a lease and without a draft beside it', async () => {
    const hint = await openHint()
    await hint.remember(workerNamed('a'))
    await hint.remember(workerNamed('b'))
    await hint.close()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).not.toContain('lease of')
    expect(await readdir(dir.path)).toEqual(['registry.json'])
    expect((await openHint()).found).toEqual([workerNamed('a'), workerNamed('b')])
    expect(lines).toEqual([])
  })

  test('is written by itself a moment after a change', async () => {
    const hint = await openHint()
    await hint.remember(workerNamed('a'))
    await until('it is there', async () => (await idsOnDisk().catch(() => [''])).includes('a'))
  })

  test('no longer has an instance when its successor learns its lease', async () => {
    const hint = await openHint()
    await hint.remember(workerNamed('a', 'old'))
    await hint.settled()
    hint.forget(instanceOf(workerNamed('a', 'old')))
    await hint.remember(workerNamed('a', 'new'))
    expect(await readFile(file, 'utf8')).toContain(hashOfLease('new'))
    hint.forget(instanceOf(workerNamed('a', 'old')))
    await hint.settled()
    expect(await idsOnDisk()).toEqual(['a'])
  })

  test('no longer has what an earlier controller left once its successor learns its lease', async () => {
    await writeFile(file, hintText(trustDomain, [hintLine(workerNamed('a', 'old'))]))
    const hint = await openHint()
    await hint.remember(workerNamed('a', 'new'))
    expect(await readFile(file, 'utf8')).not.toContain(hashOfLease('old'))
  })

  test('no longer has a forgotten worker when that is settled, however many leave at once', async () => {
    const hint = await openHint()
    const workers = Array.from({ length: 200 }, (_, n) => workerNamed(`w${n}`))
    await Promise.all(workers.map((worker) => hint.remember(worker)))
    await hint.settled()
    await Promise.all(
      workers.slice(1).map(async (worker) => {
        hint.forget(instanceOf(worker))
        await hint.settled()
        expect(await idsOnDisk()).not.toContain(worker.body.worker_id)
      }),
    )
    expect(await idsOnDisk()).toEqual(['w0'])
  })

  test('that cannot be written is removed rather than left old, said once, and written again when that is possible', async () => {
    const hint = await openHint()
    await hint.remember(workerNamed('a'))
    await hint.settled()
    await rm(dir.path, { recursive: true })
    hint.forget(instanceOf(workerNamed('a')))
    await hint.settled()
    await hint.remember(workerNamed('b'))
    await hint.settled()
    expect(lines.map(({ event }) => event)).toEqual(['registry_hint_failed'])
    await mkdir(dir.path)
    await hint.remember(workerNamed('c'))
    await hint.settled()
    expect(await idsOnDisk()).toEqual(['b', 'c'])
  })

  test('leaves out what does not fit, and says so', async () => {
    const hint = await openHint()
    const large = (name: string): RememberedWorker => {
      const worker = workerNamed(name)
      const [capability] = worker.body.capabilities
      const description = 'x'.repeat(1024)
      const many = Array.from({ length: 9000 }, (_, n) => ({ code: `E${n}`, description, retryable: true }))
      return { ...worker, body: { ...worker.body, capabilities: [{ ...capability!, error_codes: many }] } }
    }
    for (let n = 0; n < 4; n++) await hint.remember(large(`w${n}`))
    await hint.close()
    expect(lines.map(({ event }) => event)).toEqual(['registry_hint_full'])
    expect((await stat(file)).size).toBeLessThan(32 * 1024 * 1024)
  })
})

describe('is ignored, and that is said, when it', () => {
  const good = hintText(trustDomain, [hintLine(workerNamed('a'))])
  const changed = (from: string, to: string): string => good.replace(from, to)
  test.each([
    ['is no JSON', '{"v":1,'],
    ['is empty', ''],
    ['is null', 'null'],
    ['is cut off', good.slice(0, -20)],
    ['belongs to another trust domain', changed('"crank.local"', '"other.local"')],
    ['has an unknown member', changed('"v":1', '"v":1,"more":1')],
    ['has a worker with an unknown member', changed('"registered_at"', '"more":1,"registered_at"')],
    ['has an invalid SPIFFE ID', changed('spiffe://crank.local/worker/hello-world', 'spiffe://crank.local/a/../b')],
    ['has an invalid hash', changed('"lease_sha256":"', '"lease_sha256":"x')],
    ['has an invalid registration', changed('"worker_id":"a"', '"worker_id":"a b"')],
    ['has a worker twice', hintText(trustDomain, [hintLine(workerNamed('a')), hintLine(workerNamed('a', 'other'))])],
  ])('%s', async (_what, text) => {
    await writeFile(file, text)
    expect((await openHint()).found).toEqual([])
    expect(lines).toMatchObject([{ event: 'registry_hint_ignored', file, reason: expect.stringMatching(/./) }])
  })

  test('has another version: both are named', async () => {
    await writeFile(file, changed('"v":1', '"v":2'))
    await openHint()
    const reason = 'it has format 2, and this version of crank reads format 1'
    expect(lines).toMatchObject([{ event: 'registry_hint_ignored', reason }])
  })

  test('is a folder, or larger than any registry', async () => {
    await mkdir(file)
    expect((await openHint()).found).toEqual([])
    await rm(file, { recursive: true })
    await writeFile(file, Buffer.alloc(32 * 1024 * 1024 + 1))
    expect((await openHint()).found).toEqual([])
    expect(lines.map(({ event }) => event)).toEqual(['registry_hint_ignored', 'registry_hint_ignored'])
  })

  test('is any other text: nothing that is read brings a worker that was not written', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.nat(good.length).map((at) => good.slice(0, at)),
        ),
        (text) => {
          fc.pre(text.trim() !== good.trim())
          expect(() => parseHint(text, trustDomain)).toThrow()
        },
      ),
    )
  })
})

test('a mesh that starts for the first time has no such file, and says nothing', async () => {
  expect((await openHint()).found).toEqual([])
  expect(lines).toEqual([])
})
