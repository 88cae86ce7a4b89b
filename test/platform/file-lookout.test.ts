// Changes are noticed by what the system tells, and by the glance where it does not tell.
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { watchFiles, type LookoutPace } from '../../src/platform/file-lookout.ts'
import { tempDir } from '../fixtures/pki/credential-files.ts'

const NEVER_MS = 3_600_000
const ways: Record<string, LookoutPace> = {
  'the system tells': { netMs: NEVER_MS, againMs: 1, events: true },
  'of a glance, as below a bind mount': { netMs: 5, againMs: 1, events: false },
}

let dir: Awaited<ReturnType<typeof tempDir>>
let lookout: ReturnType<typeof watchFiles>
let looks = 0
beforeEach(async () => {
  dir = await tempDir()
  looks = 0
})
afterEach(async () => {
  lookout.close()
  await dir[Symbol.asyncDispose]()
})

/** Follows these names in the folder, and resolves after the first look. */
async function follow(names: readonly string[], pace: LookoutPace, settled = () => true): Promise<void> {
  const paths = names.map((name) => join(dir.path, name))
  lookout = watchFiles({
    paths,
    pace,
    look() {
      looks += 1
      return Promise.resolve(settled())
    },
  })
  await noticed(0)
}

async function noticed(after: number): Promise<void> {
  await expect.poll(() => looks, { timeout: 10_000, interval: 2 }).toBeGreaterThan(after)
}

async function isNoticed(change: () => Promise<unknown>): Promise<void> {
  const before = looks
  await change()
  await noticed(before)
}

const at = (name: string): string => join(dir.path, name)

for (const [name, pace] of Object.entries(ways)) {
  describe(`because ${name}`, () => {
    test('a file that is written to, replaced, removed and put back', async () => {
      await writeFile(at('a'), '1')
      await follow(['a'], pace)
      await isNoticed(() => writeFile(at('a'), '22'))
      await writeFile(at('b'), '333')
      await isNoticed(() => rename(at('b'), at('a')))
      // The file that replaced the first one is followed as well.
      await isNoticed(() => writeFile(at('a'), '4444'))
      await isNoticed(() => rm(at('a')))
    })

    test('files of a folder that come, change and go', async () => {
      await follow(['.'], pace)
      await isNoticed(() => writeFile(at('a'), '1'))
      await isNoticed(() => writeFile(at('a'), '22'))
      await isNoticed(() => rename(at('a'), at('b')))
      await isNoticed(() => rm(at('b')))
    })

    test('a linked folder that Kubernetes swaps', async () => {
      await mkdir(at('..1'))
      await mkdir(at('..2'))
      await writeFile(at('..1/a'), 'x')
      await writeFile(at('..2/a'), 'y')
      await symlink('..1', at('..data'))
      await symlink('..data/a', at('a'))
      await follow(['.'], pace)
      await isNoticed(async () => {
        await symlink('..2', at('..tmp'))
        await rename(at('..tmp'), at('..data'))
      })
    })
  })
}

describe('by the glance', () => {
  const pace: LookoutPace = { netMs: 5, againMs: 1, events: true }

  test('a file that did not exist, and a folder in the place of another', async () => {
    await follow(['later', 'folder'], pace)
    await isNoticed(() => writeFile(at('later'), '1'))
    await isNoticed(() => mkdir(at('folder')))
    await isNoticed(() => writeFile(at('folder/a'), '1'))
    await mkdir(at('other'))
    await rename(at('folder'), at('old'))
    await isNoticed(() => rename(at('other'), at('folder')))
    await isNoticed(() => writeFile(at('folder/b'), '1'))
  })

  test('what is not settled is looked at again, what is settled is not', async () => {
    let left = 5
    await follow(['.'], { netMs: 1, againMs: 1, events: false }, () => --left === 0)
    await noticed(4)
    const same = Promise.withResolvers<undefined>()
    const count = looks
    lookout.close()
    lookout = watchFiles({
      paths: [at('.')],
      pace: { netMs: 1, againMs: 1, events: false },
      look: () => Promise.resolve(true),
      onSame: () => same.resolve(undefined),
    })
    await same.promise
    expect([count, looks]).toEqual([5, 5])
  })

  test('who asks for another look gets one', async () => {
    await follow(['.'], { netMs: NEVER_MS, againMs: 1, events: false })
    expect(looks).toBe(1)
    lookout.again()
    await noticed(1)
  })
})

test('all lookouts glance at the same moments, so that an idle process wakes once for them', async () => {
  const pace: LookoutPace = { netMs: 750, againMs: 200, events: false }
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  try {
    const glances: string[] = []
    const start = (name: string): ReturnType<typeof watchFiles> =>
      watchFiles({
        paths: [at(name)],
        pace,
        look: () => Promise.resolve(true),
        onSame: () => void glances.push(`${name} at ${performance.now()}`),
      })
    lookout = start('a')
    await vi.advanceTimersByTimeAsync(130)
    const other = start('b')
    await vi.advanceTimersByTimeAsync(2200)
    other.close()
    expect(glances).toEqual([750, 1500, 2250].flatMap((ms) => [`a at ${ms}`, `b at ${ms}`]))
  } finally {
    vi.useRealTimers()
  }
})
