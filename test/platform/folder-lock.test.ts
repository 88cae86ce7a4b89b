// The lock of a folder: one at a time, released after a failure, taken over from a holder that was killed.
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { withFolderLock } from '../../src/platform/folder-lock.ts'
import { tempDir } from '../fixtures/pki/credential-files.ts'

test('lets one at a time in, and makes the folder where it is missing', async () => {
  await using dir = await tempDir()
  const folder = path.join(dir.path, 'new', 'folder')
  let inside = 0
  const most = await Promise.all(
    Array.from({ length: 5 }, () =>
      withFolderLock(folder, async () => {
        inside += 1
        const seen = inside
        await turn()
        inside -= 1
        return seen
      }),
    ),
  )
  expect(most).toEqual([1, 1, 1, 1, 1])
  expect(await readdir(folder)).toEqual([])
})

test('is released when the work fails', async () => {
  await using dir = await tempDir()
  await expect(withFolderLock(dir.path, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await withFolderLock(dir.path, () => Promise.resolve('again'))).toBe('again')
})

test('is taken over from a holder that never came back', async () => {
  await using dir = await tempDir()
  await mkdir(path.join(dir.path, '.lock'))
  expect(await withFolderLock(dir.path, () => Promise.resolve('mine'), 3)).toBe('mine')
  expect(await readdir(dir.path)).toEqual([])
})
