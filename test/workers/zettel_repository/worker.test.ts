// store:zettel through the runtime, on real files.
import { mkdir, readdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseZettel } from '../../../src/workers/zettel/front-matter.ts'
import { createZettelRepository } from '../../../src/workers/zettel_repository/worker.ts'
import { ANNA, BERT, createBench, type Bench } from '../zettel/place.ts'

let bench: Bench
beforeEach(async () => {
  bench = await createBench(createZettelRepository, 'store:zettel')
  await bench.start()
})
afterEach(() => bench.close())

const ROOT = 'zettel_repository'
const at = (path: string) => join(bench.stateDir, ROOT, path)
const markdown = async () => (await bench.tree()).filter((path) => path.endsWith('.md'))

describe('store:zettel', () => {
  test('keeps a zettel as a file, and says where without a path of the machine', async () => {
    const content = '# On Trust\n\nNever trust, always [[Verify|verify]].\n'
    const more = { tags: ['trust'], source_agent: 'sonnet', metadata: { rank: [1, null] }, context: { thread: 'x' } }
    const { status, body, text } = await bench.ask({ content, category: 'Zero Trust', ...more })
    expect(status).toBe(200)
    const relative_path = 'zero-trust/01M86PTPG0040G2081040G2081.on-trust.md'
    expect(body).toStrictEqual({
      zettel_id: '01M86PTPG0040G2081040G2081',
      storage_path: `zettel_repository/${relative_path}`,
      repository_root: 'zettel_repository',
      relative_path,
      created_at: '2026-11-24T12:00:00.000Z',
      title: 'On Trust',
      category: 'Zero Trust',
      tags: ['trust'],
      links: [{ target: 'Verify', zettel_ids: [] }],
      backlinks: [],
    })
    expect(text).not.toContain(dirname(bench.stateDir))
    expect(parseZettel(await bench.read(body.storage_path))).toStrictEqual({
      zettel_id: body.zettel_id,
      title: 'On Trust',
      category: 'Zero Trust',
      stored_by: ANNA,
      shared: false,
      created_at: body.created_at,
      content,
      ...more,
    })
  })

  test('gives ids in the order of storing, also within a millisecond and for many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => bench.ask({ content: `zettel ${n}` })))
    const ids = answers.map(({ body }) => body.zettel_id)
    expect(new Set(ids).size).toBe(20)
    expect(ids).toStrictEqual(ids.toSorted())
    expect(await markdown()).toHaveLength(20)
  })

  test('finds the links of a new zettel, and those that waited for it', async () => {
    const first = await bench.ask({ content: 'See [[ON  trust]], [[nothing]] and [[b]].', zettel_id: 'a' })
    expect(first.body.links).toStrictEqual([
      { target: 'ON  trust', zettel_ids: [] },
      { target: 'nothing', zettel_ids: [] },
      { target: 'b', zettel_ids: [] },
    ])
    const second = await bench.ask({ content: 'Back to [[A]].', title: 'On Trust', zettel_id: 'b' })
    expect(second.body).toMatchObject({ links: [{ target: 'A', zettel_ids: ['a'] }], backlinks: ['a'] })
  })

  test('keeps the links over a restart', async () => {
    await bench.ask({ content: '[[On Trust]]', zettel_id: 'a' })
    await bench.start()
    expect((await bench.ask({ content: 'x', title: 'On Trust' })).body.backlinks).toStrictEqual(['a'])
  })

  test('tells nobody of the links of others', async () => {
    await bench.ask({ content: '[[On Trust]]', title: 'Secret' }, ANNA)
    const { body } = await bench.ask({ content: '[[Secret]]', title: 'On Trust' }, BERT)
    expect(body).toMatchObject({ links: [{ target: 'Secret', zettel_ids: [] }], backlinks: [] })
  })
})

describe('an id that is given', () => {
  const zettel = { content: 'Text.', zettel_id: 'My-1', tags: ['a'], metadata: { a: 1, b: 2 } }

  test('stores the same zettel once, however often it is sent, and over a restart', async () => {
    const first = await bench.ask(zettel)
    bench.elapsedMs += 1000
    await bench.start()
    const again = await bench.ask({ ...zettel, metadata: { b: 2, a: 1 } })
    expect(again).toStrictEqual(first)
    expect(await markdown()).toHaveLength(1)
  })

  test('stores it once also when it is sent many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => bench.ask(zettel)))
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(await markdown()).toHaveLength(1)
  })

  const others: Record<string, [input: object, caller?: string]> = {
    'other content': [{ content: 'Text!' }],
    'another title': [{ title: 'Other' }],
    'another category, so another path': [{ category: 'other' }],
    'other tags': [{ tags: [] }],
    'other metadata': [{ metadata: { a: 1 } }],
    'another case of the id': [{ zettel_id: 'my-1' }],
    'another caller': [{}, BERT],
  }
  for (const [what, [change, caller]] of Object.entries(others)) {
    test(`is refused with ${what}, and the file stays`, async () => {
      const { body } = await bench.ask(zettel)
      const before = await bench.read(body.storage_path)
      const answer = await bench.ask({ ...zettel, ...change }, caller)
      expect(answer.status).toBe(400)
      expect(answer.body).toStrictEqual({
        error: 'INVALID_ZETTEL',
        message: 'the zettel_id already exists',
        retryable: false,
      })
      expect(await markdown()).toStrictEqual([body.storage_path])
      expect(await bench.read(body.storage_path)).toBe(before)
    })
  }

  test('is judged by the file: changed by hand it is another zettel, removed it is none', async () => {
    const { body } = await bench.ask(zettel)
    await writeFile(at(body.relative_path), (await bench.read(body.storage_path)).replace(/Text\.$/, 'Other.'))
    expect((await bench.ask(zettel)).body.error).toBe('INVALID_ZETTEL')
    expect((await bench.ask({ ...zettel, content: 'Other.', title: 'Text.' })).status).toBe(200)
    await unlink(at(body.relative_path))
    expect((await bench.ask(zettel)).body.relative_path).toBe(body.relative_path)
    await mkdir(at('moved'))
    await rename(at(body.relative_path), at('moved/x.md'))
    expect((await bench.ask(zettel)).body.relative_path).toBe('moved/x.md')
  })

  test('is refused where a file of that name was put by hand', async () => {
    await bench.ask({ content: 'a' })
    await writeFile(at('general/mine.text.md'), 'not a zettel')
    const answer = await bench.ask({ content: 'Text.', zettel_id: 'mine' })
    expect(answer.body).toMatchObject({ error: 'INVALID_ZETTEL', message: 'the zettel_id already exists' })
    expect(await bench.read(`${ROOT}/general/mine.text.md`)).toBe('not a zettel')
  })
})

describe('input that is not a zettel', () => {
  const refused: Record<string, [input: unknown, message: string]> = {
    nothing: [null, "input must have required property 'content'"],
    'no content': [{}, "input must have required property 'content'"],
    'blank content': [{ content: ' \n' }, 'content is blank'],
    'a member that is not known': [
      { content: 'a', path: '/etc' },
      'input must NOT have additional properties ("path")',
    ],
    'an id that is a path': [{ content: 'a', zettel_id: '../a' }, 'input/zettel_id must match pattern'],
    'an id with a NUL': [{ content: 'a', zettel_id: 'a\0' }, 'input/zettel_id must match pattern'],
    'an id that is too long': [{ content: 'a', zettel_id: 'a'.repeat(65) }, 'input/zettel_id must match pattern'],
    'content that is too long': [{ content: 'a'.repeat(1_000_001) }, 'NOT have more than 1000000 characters'],
    'a NUL in the content': [{ content: 'a\0' }, 'content has a NUL character'],
    'half of a surrogate pair': [{ content: 'a\ud800' }, 'content is not well-formed Unicode'],
    'a title that is too long': [{ content: 'a', title: 'a'.repeat(201) }, 'NOT have more than 200 characters'],
    'a title of two lines': [{ content: 'a', title: 'a\nb' }, 'input/title must match pattern'],
    'a blank category': [{ content: 'a', category: ' ' }, 'input/category must match pattern'],
    'too many tags': [{ content: 'a', tags: Array.from({ length: 33 }, String) }, 'NOT have more than 32 items'],
    'metadata that is too long': [{ content: 'a', metadata: { a: 'a'.repeat(16_384) } }, '16384 bytes as JSON'],
    'context that is too deep': [{ content: 'a', context: { a: [[[[[[[[[1]]]]]]]]] } }, 'deeper than 8 levels'],
    'metadata that is a list': [{ content: 'a', metadata: [] }, 'input/metadata must be object'],
  }
  for (const [what, [input, message]] of Object.entries(refused)) {
    test(`is refused: ${what}`, async () => {
      const answer = await bench.ask(input)
      expect(answer.status).toBe(400)
      expect(answer.body).toMatchObject({ error: 'INVALID_ZETTEL', retryable: false })
      expect(answer.body.message).toContain(message)
      expect(await bench.tree()).not.toContainEqual(expect.stringMatching(/\.md$|drafts\/./))
    })
  }
})

describe('what one caller may keep', () => {
  test('is limited in number', async () => {
    await bench.start({ quota: { zettels: 2, bytes: 1e6 } })
    await bench.ask({ content: 'one', zettel_id: 'one' })
    await bench.ask({ content: 'two' })
    const answer = await bench.ask({ content: 'three' })
    expect(answer).toMatchObject({
      status: 422,
      body: { error: 'TOO_MANY_ZETTELS', message: 'a caller may keep 2 zettels and 1000000 bytes', retryable: false },
    })
    expect((await bench.ask({ content: 'one', zettel_id: 'one' })).status).toBe(200)
    expect((await bench.ask({ content: 'three' }, BERT)).status).toBe(200)
  })

  test('is limited in bytes', async () => {
    await bench.start({ quota: { zettels: 9, bytes: 1000 } })
    expect((await bench.ask({ content: 'a'.repeat(500) })).status).toBe(200)
    expect((await bench.ask({ content: 'a'.repeat(500) })).body.error).toBe('TOO_MANY_ZETTELS')
  })
})

describe('when the disk fails', () => {
  const fails = { status: 503, body: { error: 'STORAGE_FAILURE', retryable: true } }

  test('says so without a path, logs it without a title, and leaves nothing', async () => {
    let failing = false
    const code = 'ENOSPC'
    await bench.start({
      sync: (_handle, path) => (failing ? Promise.reject(Object.assign(new Error(path), { code })) : Promise.resolve()),
    })
    await bench.ask({ content: 'before' })
    failing = true
    const answer = await bench.ask({ content: 'a', title: 'Secret', category: 'Secret' })
    expect(answer).toMatchObject(fails)
    expect(answer.body.message).toBe('the storage failed (ENOSPC)')
    expect(bench.logged()).toContainEqual(expect.objectContaining({ event: 'zettel_storage_failed', code }))
    expect(JSON.stringify(bench.logged()).toLowerCase()).not.toContain('secret')
    failing = false
    expect(await markdown()).toHaveLength(1)
    expect((await bench.ask({ content: 'a', title: 'Secret', category: 'Secret' })).status).toBe(200)
    expect(await markdown()).toHaveLength(2)
  })

  test('writes nothing through a category that is a symbolic link, or a file', async () => {
    await bench.ask({ content: 'a' })
    const outside = join(dirname(bench.stateDir), 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'x.a.md'), 'theirs')
    await symlink(outside, at('linked'))
    await writeFile(at('file'), '')
    expect(await bench.ask({ content: 'a', category: 'linked', zettel_id: 'x' })).toMatchObject(fails)
    expect(await bench.ask({ content: 'a', category: 'file' })).toMatchObject(fails)
    expect(await readdir(outside)).toStrictEqual(['x.a.md'])
  })

  test('fails for as long as the folder cannot be made, and not longer', async () => {
    await mkdir(bench.stateDir, { recursive: true })
    await writeFile(at(''), '')
    expect(await bench.ask({ content: 'a' })).toMatchObject(fails)
    await rm(at(''))
    expect((await bench.ask({ content: 'a' })).status).toBe(200)
  })
})

describe('a call that is over', () => {
  test('stores nothing any more when its turn comes', async () => {
    const { promise: first, resolve: go } = Promise.withResolvers<undefined>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>()
    let held = false
    await bench.start({
      sync: (_handle, path) => {
        if (!held || !path.includes('.drafts/')) return Promise.resolve()
        begin(undefined)
        return first
      },
    })
    await bench.ask({ content: 'before' })
    held = true
    const running = bench.ask({ content: 'running' })
    await begun
    const left = new AbortController()
    const waiting = bench.ask({ content: 'waiting' }, ANNA, { callerLeft: left.signal })
    left.abort()
    expect((await waiting).body.error).toBe('CALLER_LEFT')
    held = false
    go(undefined)
    expect((await running).status).toBe(200)
    expect((await bench.ask({ content: 'after' })).status).toBe(200)
    expect(await markdown()).toHaveLength(3)
  })
})
