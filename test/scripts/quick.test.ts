// What `npm run quick` looks at, in a repository of its own, and which tests it takes first.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { changedFiles, nearestFirst } from '../../scripts/quick.ts'
import { run } from '../../scripts/tools/run.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-quick-'))
  await git('init', '-q', '-b', 'main')
  await commit('old.ts', 'kept.ts')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function git(...args: string[]): Promise<string> {
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@t.test', '-c', 'commit.gpgsign=false']
  const { code, stdout, stderr } = await run('git', [...who, ...args], { cwd: dir })
  expect(code, stderr).toBe(0)
  return stdout.trim()
}

async function commit(...names: string[]): Promise<void> {
  for (const name of names) await writeFile(join(dir, name), name)
  await git('add', '.')
  await git('commit', '-q', '-m', 'more')
}

test('looks at commits since the branch point, the index, the work tree and new files, not at what main got since', async () => {
  const base = await git('rev-parse', 'HEAD')
  await git('checkout', '-q', '-b', 'topic')
  await commit('committed.ts')
  await writeFile(join(dir, 'kept.ts'), 'changed')
  await writeFile(join(dir, 'staged.ts'), '')
  await git('add', 'staged.ts')
  await writeFile(join(dir, 'new one.ts'), '')
  await rm(join(dir, 'old.ts'))
  await git('stash', '-q', '--include-untracked')
  await git('checkout', '-q', 'main')
  await commit('theirs.ts')
  await git('checkout', '-q', 'topic')
  await git('stash', 'pop', '-q', '--index')
  expect(await changedFiles(dir)).toEqual({
    base,
    files: ['committed.ts', 'kept.ts', 'new one.ts', 'staged.ts'],
  })
})

test('without a branch main it looks at what is not committed', async () => {
  await git('branch', '-q', '-m', 'trunk')
  await writeFile(join(dir, 'kept.ts'), 'changed')
  expect(await changedFiles(dir)).toEqual({ base: 'HEAD', files: ['kept.ts'] })
})

test('says so where there is no repository', async () => {
  await rm(join(dir, '.git'), { recursive: true })
  await expect(changedFiles(dir)).rejects.toThrow('git cannot say what has changed')
})

test('takes changed tests first, then those of the same name, then of the same folder', () => {
  const tests = [
    'test/a/x.test.ts',
    'test/controller/steps/record.test.ts',
    'test/controller/steps/forward.test.ts',
    'test/z/changed.test.ts',
  ]
  expect(nearestFirst(tests, ['src/controller/steps/forward.ts', 'test/z/changed.test.ts'])).toEqual([
    'test/z/changed.test.ts',
    'test/controller/steps/forward.test.ts',
    'test/controller/steps/record.test.ts',
    'test/a/x.test.ts',
  ])
})
