// What a power cut would leave is judged by the order of the steps; what a kill leaves is tried in crash.test.ts.
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ensureFolder, ensureTree, writeDurably, type Sync } from '../../../src/workers/zettel/durable-file.ts'
import { openFolder } from '../../../src/workers/zettel/folder.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-zettel-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const failure = (code: string) => Object.assign(new Error(code), { code })
const at = (name: string) => join(dir, name)
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

describe('a durable file', () => {
  test('is on the disk before it has its name, and the name before the call ends', async () => {
    const steps: string[] = []
    const sync: Sync = (_handle, path) => {
      const whole = path === at('draft') ? readFileSync(path, 'utf8') === 'text' : existsSync(at('file'))
      steps.push(`${path === dir ? 'folder' : 'draft'} whole=${whole} visible=${existsSync(at('file'))}`)
      return Promise.resolve()
    }
    await writeDurably({ draft: at('draft'), file: at('file'), text: 'text', sync })
    expect(steps).toStrictEqual(['draft whole=true visible=false', 'folder whole=true visible=true'])
    expect(await readdir(dir)).toStrictEqual(['file'])
    expect(await modeOf(at('file'))).toBe('600')
  })

  test('leaves the old one, and no draft, when the disk fails', async () => {
    await writeFile(at('file'), 'old')
    const sync: Sync = () => Promise.reject(failure('EIO'))
    await expect(writeDurably({ draft: at('draft'), file: at('file'), text: 'new', sync })).rejects.toThrow('EIO')
    expect(await readdir(dir)).toStrictEqual(['file'])
    expect(readFileSync(at('file'), 'utf8')).toBe('old')
  })
})

describe('a folder', () => {
  test('is made once, private, and made known to the one above it', async () => {
    const synced: string[] = []
    const sync: Sync = (_handle, path) => Promise.resolve(void synced.push(path))
    await ensureFolder(at('a'), sync)
    await ensureFolder(at('a'), sync)
    expect(synced).toStrictEqual([dir])
    expect(await modeOf(at('a'))).toBe('700')
  })

  test('is made with all those above it, each made known', async () => {
    const synced: string[] = []
    const sync: Sync = (_handle, path) => Promise.resolve(void synced.push(path))
    await ensureTree(at('a/b/c'), sync)
    expect(synced).toStrictEqual([at('a/b'), at('a'), dir])
    await ensureTree(at('a/b/c'), sync)
    expect(synced).toHaveLength(3)
  })

  test('is neither a file nor a symbolic link', async () => {
    await writeFile(at('file'), '')
    await symlink(tmpdir(), at('link'))
    await expect(ensureFolder(at('file'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(ensureFolder(at('link'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('the folder of the zettels', () => {
  test('finds Markdown files at any level, and no links, drafts or hidden ones', async () => {
    const folder = await openFolder(at('root'))
    await writeFile(at('outside.md'), 'outside')
    await mkdir(at('root/a/b'), { recursive: true })
    for (const name of ['a/2.md', 'a/b/1.md', 'a/.hidden.md', 'a/x.txt', '.drafts/d.md']) {
      await writeFile(at(`root/${name}`), 'x')
    }
    await symlink(at('outside.md'), at('root/a/link.md'))
    await symlink(dir, at('root/up'))
    await mkdir(at('root/a/folder.md'))
    expect(await folder.paths()).toStrictEqual(['a/2.md', 'a/b/1.md'])
  })

  test('reads no links, no folders, nothing through a linked folder, nothing too long or in another encoding', async () => {
    const folder = await openFolder(at('root'))
    await mkdir(at('root/a'))
    await writeFile(at('outside.md'), 'outside')
    await symlink(at('outside.md'), at('root/a/link.md'))
    await symlink(dir, at('root/up'))
    await writeFile(at('root/a/latin.md'), Buffer.from([0x61, 0xe9]))
    await writeFile(at('root/a/long.md'), Buffer.alloc(5_000_000, 'a'))
    for (const path of ['a/link.md', 'a', 'up/outside.md', 'a/latin.md', 'a/long.md', 'a/none.md', 'none/none.md']) {
      expect(await folder.read(path)).toBeUndefined()
    }
    expect(await folder.stampOf('a/link.md')).toBeUndefined()
  })

  test('refuses a path outside its root', async () => {
    const folder = await openFolder(at('root'))
    await writeFile(at('root-2'), 'x')
    for (const path of ['../root-2', '..', '.', '', 'a/../../root-2', 'a\0b']) {
      await expect(folder.create(path, 'text')).rejects.toThrow('outside the root')
      await expect(folder.read(path)).rejects.toThrow('outside the root')
    }
    expect((await readdir(dir)).sort()).toStrictEqual(['root', 'root-2'])
  })

  test('overwrites nothing when it creates, and gives another stamp for every change', async () => {
    const folder = await openFolder(at('root'))
    const first = await folder.create('a/1.md', 'one')
    expect(await folder.read('a/1.md')).toStrictEqual({ text: 'one', stamp: first, bytes: 3 })
    await expect(folder.create('a/1.md', 'two')).rejects.toMatchObject({ code: 'EEXIST' })
    expect(await folder.stampOf('a/1.md')).toBe(first)
    expect(await folder.replace('a/1.md', 'two')).not.toBe(first)
  })

  test('takes back a new file whose name did not reach the disk', async () => {
    let failing = false
    const sync: Sync = (_handle, path) =>
      failing && path === at('root/a') ? Promise.reject(failure('EIO')) : Promise.resolve()
    const folder = await openFolder(at('root'), sync)
    await folder.create('a/1.md', 'one')
    failing = true
    await expect(folder.create('a/2.md', 'two')).rejects.toMatchObject({ code: 'EIO' })
    expect(await folder.paths()).toStrictEqual(['a/1.md'])
  })

  test('is the real one where the root is a link', async () => {
    await mkdir(at('real'))
    await symlink(at('real'), at('root'))
    const folder = await openFolder(at('root'))
    await folder.create('a/1.md', 'one')
    expect(await folder.read('a/1.md')).toMatchObject({ text: 'one' })
    expect(dirname(folder.inside)).toBe(at('real'))
  })
})
