// The files are what counts: changed, moved, added or removed by hand, and with an index that is lost, damaged or old.
import { copyFile, mkdir, open, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createZettelManager } from '../../../src/workers/zettel_manager/worker.ts'
import { ANNA, BERT, createBench, type Bench } from '../zettel/place.ts'

const MINUTE_MS = 60_000
const INDEX = '.index/zettels.sqlite'

let bench: Bench
beforeEach(async () => {
  bench = await createBench(createZettelManager, 'manage:sonnet_zettel')
  await bench.start()
})
afterEach(() => bench.close())

const at = (path: string) => join(bench.stateDir, 'zettel_manager', path)
const markdown = async () => (await bench.tree()).filter((path) => path.endsWith('.md'))
const pathOf = async (id: string) =>
  join(
    bench.stateDir,
    (await markdown()).find((path) => path.includes(id))!,
  )

async function store(input: object): Promise<string> {
  const { body, status, text } = await bench.ask({ operation: 'store', ...input })
  expect(status, text).toBe(200)
  bench.elapsedMs += 1
  return body.zettel_id
}
async function found(operation: 'list' | 'search', input: object = {}, caller = ANNA): Promise<string[]> {
  const { body, status, text } = await bench.ask({ operation, ...input }, caller)
  expect(status, text).toBe(200)
  return (operation === 'list' ? body.data.zettels : body.data.hits).map(({ zettel_id }) => zettel_id)
}
const retrieve = async (zettel_id: string, caller = ANNA) => bench.ask({ operation: 'retrieve', zettel_id }, caller)

const textOf = async (id: string) => readFile(await pathOf(id), 'utf8')

async function edit(id: string, from: string | RegExp, to: string): Promise<void> {
  const text = await textOf(id)
  expect(text).toMatch(from)
  await writeFile(await pathOf(id), text.replace(from, to))
}
const fileText = (id: string, more = '', content = 'By hand.') =>
  `---\nzettel_id: ${id}\nstored_by: ${ANNA}\ncreated_at: 2026-01-01\n${more}---\n${content}`

describe('a file that was changed by hand', () => {
  test('is read as it is now, at once', async () => {
    const id = await store({ content: 'old words', title: 'T', category: 'before', tags: ['old'] })
    await edit(id, /category: before\ntags:\n  - old/, 'category: after\ntags: [new]')
    await edit(id, /old words$/, 'new words')
    const { body } = await retrieve(id)
    expect(body.data.zettel).toMatchObject({ category: 'after', tags: ['new'], content: 'new words' })
    expect(await found('list', { category: 'after', tags: ['new'] })).toStrictEqual([id])
    expect(await found('search', { query: 'old words' })).toStrictEqual([])
  })

  test('is at once no longer a hit for what it was', async () => {
    const id = await store({ content: 'a', title: 'T', category: 'before' })
    await edit(id, 'category: before', 'category: after')
    expect(await found('list', { category: 'before' })).toStrictEqual([])
    expect(await found('list', { category: 'after' })).toStrictEqual([id])
    await edit(id, /a$/, 'b')
    expect(await found('search', { query: 'a' })).toStrictEqual([])
    expect(await found('search', { query: 'b' })).toStrictEqual([id])
  })

  test('belongs to whom it says now, at once', async () => {
    const id = await store({ content: 'a', shared: true })
    expect((await retrieve(id, BERT)).status).toBe(200)
    await edit(id, 'shared: true', 'shared: false')
    expect((await retrieve(id, BERT)).status).toBe(404)
    await edit(id, ANNA, BERT)
    expect(await found('list')).toStrictEqual([])
    expect(await found('list', {}, BERT)).toStrictEqual([id])
    await bench.ask({ operation: 'store', content: 'x' })
    expect((await bench.ask({ operation: 'link', zettel_id: id, target_id: id })).status).toBe(404)
  })

  test('is found for what it has become within a minute', async () => {
    const id = await store({ content: 'a' })
    await edit(id, /a$/, 'lantern')
    expect(await found('search', { query: 'lantern' })).toStrictEqual([])
    bench.elapsedMs += MINUTE_MS
    expect(await found('search', { query: 'lantern' })).toStrictEqual([id])
  })

  test('is found also when its time and length are what they were', async () => {
    const id = await store({ content: 'aaa' })
    const path = await pathOf(id)
    await utimes(path, 1, 1)
    expect(await found('search', { query: 'aaa' })).toStrictEqual([id])
    await edit(id, /aaa$/, 'bbb')
    await utimes(path, 1, 1)
    expect((await retrieve(id)).body.data.zettel.content).toBe('bbb')
    expect(await found('search', { query: 'bbb' })).toStrictEqual([id])
  })

  test('is not a zettel while it cannot be read, and is counted in the log', async () => {
    const id = await store({ content: 'a' })
    await edit(id, 'title: a', 'title: [')
    expect((await retrieve(id)).status).toBe(404)
    expect(await found('list')).toStrictEqual([])
    bench.elapsedMs += MINUTE_MS
    await found('list')
    const scans = bench.logged().filter(({ event }) => event === 'zettel_files_scanned')
    expect(scans.at(-1)).toMatchObject({ level: 'warn', files: 1, unreadable: 1 })
    await edit(id, 'title: [', 'title: b')
    bench.elapsedMs += MINUTE_MS
    expect((await retrieve(id)).body.data.zettel.title).toBe('b')
  })

  test('keeps what else stands in it when it is linked', async () => {
    const [from, to] = [await store({ content: 'a' }), await store({ content: 'b' })]
    await edit(from, 'title: a', 'title: a # mine\nmood: good')
    expect((await bench.ask({ operation: 'link', zettel_id: from, target_id: to })).body.data.added).toBe(true)
    const text = await textOf(from)
    expect(text).toContain('title: a # mine\nmood: good\n')
    expect(text).toContain(`links:\n  - ${to}\n`)
  })
})

describe('a file that was put, moved or removed by hand', () => {
  test('is there within a minute, at any depth, when it has an id, a time and an owner', async () => {
    await store({ content: 'a' })
    await mkdir(at('mine/deep'), { recursive: true })
    await writeFile(at('mine/deep/note.md'), fileText('mine'))
    await writeFile(at('mine/plain.md'), 'no front matter')
    expect(await found('list', { category: 'general' })).toHaveLength(1)
    bench.elapsedMs += MINUTE_MS
    expect(await found('search', { query: 'hand' })).toStrictEqual(['mine'])
    expect((await retrieve('mine')).body.data.zettel).toMatchObject({ title: 'By hand.', category: 'general' })
  })

  test('is found where it was moved to, at once when it is asked for', async () => {
    const id = await store({ content: 'a' })
    await mkdir(at('archive'))
    await rename(await pathOf(id), at('archive/renamed.md'))
    expect((await retrieve(id)).body.data.zettel.content).toBe('a')
    expect(await found('list')).toStrictEqual([id])
  })

  test('is gone at once when it was removed', async () => {
    const [a, b] = [await store({ content: 'a [[b]]' }), await store({ content: 'b', title: 'b' })]
    await unlink(await pathOf(b))
    expect(await found('list')).toStrictEqual([a])
    expect((await retrieve(b)).status).toBe(404)
    expect((await retrieve(a)).body.data.links).toStrictEqual([{ target: 'b', zettel_ids: [] }])
    expect((await bench.ask({ operation: 'link', zettel_id: b, target_id: a })).status).toBe(404)
  })

  test('does not take the id of another: the copy waits until the first is gone', async () => {
    const id = await store({ content: 'first' })
    await mkdir(at('a'))
    await copyFile(await pathOf(id), at('a/copy.md'))
    bench.elapsedMs += MINUTE_MS
    expect(await found('list')).toStrictEqual([id])
    await unlink(at('a/copy.md'))
    await writeFile(at('a/copy.md'), fileText(id, '', 'second'))
    bench.elapsedMs += MINUTE_MS
    expect((await retrieve(id)).body.data.zettel.content).toBe('first')
    await rm(at('general'), { recursive: true })
    expect((await retrieve(id)).body.data.zettel.content).toBe('second')
  })
})

describe('the index', () => {
  const changes: Record<string, () => Promise<void> | void> = {
    lost: () => rm(at('.index'), { recursive: true }),
    'no database': () => writeFile(at(INDEX), 'garbage'.repeat(1000)),
    empty: () => writeFile(at(INDEX), ''),
    'of another version': () => {
      const database = new DatabaseSync(at(INDEX))
      database.exec('DROP TABLE words; PRAGMA user_version = 99')
      database.close()
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    test(`is made again from the files when it is ${what}`, async () => {
      const a = await store({ content: 'lantern [[b]]', tags: ['t'] })
      const b = await store({ content: 'b', title: 'b' })
      await bench.stop()
      await change()
      await bench.start()
      expect(await found('search', { query: 'lantern' })).toStrictEqual([a])
      expect(await found('list', { tags: ['t'] })).toStrictEqual([a])
      expect((await retrieve(b)).body.data.backlinks).toStrictEqual([a])
    })
  }

  test('takes in at the start what was changed meanwhile, and reads only that', async () => {
    const [a, b, c] = [await store({ content: 'a' }), await store({ content: 'b' }), await store({ content: 'c' })]
    await edit(a, /a$/, 'lantern')
    await unlink(await pathOf(b))
    await writeFile(at('general/new.md'), fileText('new'))
    await bench.start()
    expect((await found('list')).sort()).toStrictEqual([a, c, 'new'].sort())
    expect(await found('search', { query: 'lantern' })).toStrictEqual([a])
    const [scan] = bench.logged().filter(({ event }) => event === 'zettel_files_scanned')
    expect(scan).toMatchObject({ files: 3, read: 2, unreadable: 0 })
  })

  test('that is damaged while it works fails one call, and is made again for the next', async () => {
    const id = await store({ content: 'lantern '.repeat(2000) })
    for (let n = 0; n < 20; n += 1) await store({ content: `note ${n} `.repeat(500) })
    await bench.start()
    await found('list', { limit: 1 })
    await damage(at(INDEX))
    const { status, body } = await bench.ask({ operation: 'search', query: 'lantern' })
    expect(status).toBe(503)
    expect(body).toMatchObject({ error: 'STORAGE_FAILURE', retryable: true })
    expect(await found('search', { query: 'lantern' })).toStrictEqual([id])
    expect(await found('list')).toHaveLength(21)
  })
})

/** Overwrites all but the head of a file. */
async function damage(path: string): Promise<void> {
  const { size } = await stat(path)
  const handle = await open(path, 'r+')
  await handle.write(Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096)
  await handle.close()
}
