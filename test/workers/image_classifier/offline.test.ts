// Everything comes from npm packages: shown in a process that may read the checkout only, write nothing, start no other
// program, and in which asking for the network ends the thread.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')
const READABLE = ['node_modules', 'src', 'scripts', 'test', 'package.json'].map((path) => join(ROOT, path))

async function runOffline(...args: string[]) {
  const reads = READABLE.map((path) => `--allow-fs-read=${path}`)
  const child = spawn(
    process.execPath,
    [
      '--permission',
      ...reads,
      '--allow-worker',
      // sharp is a native addon.
      '--allow-addons',
      '--import',
      join(import.meta.dirname, 'no-network.mjs'),
      join(import.meta.dirname, 'offline-main.ts'),
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: {} },
  )
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, lines: out.split('\n').filter((line) => line !== ''), err }
}

test('all four types are served without network, and nothing but the answers is printed', async () => {
  const { code, lines, err } = await runOffline()
  expect(code, err).toBe(0)
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      classifications: [
        { type: 'scenes', method: 'heuristic' },
        { type: 'nsfw', method: 'model' },
      ],
    },
    { classifications: [{ label: 'person' }, { label: 'face' }], objects_count: 1, faces_count: 1 },
  ])
})

test('in that process, a thread that asks for the network is noticed', async () => {
  expect(await runOffline('try-network')).toMatchObject({ code: 97 })
})
