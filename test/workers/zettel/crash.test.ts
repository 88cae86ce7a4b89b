// A process that stores zettels is killed in the middle, again and again: what it said is stored is there, nothing is there
// half, and the next one goes on.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseZettel } from '../../../src/workers/zettel/front-matter.ts'
import { createZettelRepository } from '../../../src/workers/zettel_repository/worker.ts'
import { createBench, type Bench } from './place.ts'

const MAIN = join(import.meta.dirname, 'write-main.ts')
const ROUNDS = 3

let bench: Bench
beforeEach(async () => {
  bench = await createBench(createZettelRepository, 'store:zettel')
})
afterEach(() => bench.close())

/** Runs until it has said `lines` lines, then kills it. Gives what it said. */
async function runAndKill(stateDir: string, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [MAIN, stateDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line)
    if (said.length === lines) child.kill('SIGKILL')
  }
  await closed
  return said
}

async function zettelsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.map((text, at) => {
    const { zettel_id, content } = parseZettel(text)
    expect(names[at]!.startsWith(`${zettel_id}.`)).toBe(true)
    expect(content.endsWith('end')).toBe(true)
    return zettel_id
  })
}

test('keeps what it answered for, and shows nothing half written, however often it is killed', async () => {
  const stored: string[] = []
  for (let round = 1; round <= ROUNDS; round += 1) {
    stored.push(...(await runAndKill(bench.stateDir, 3 * round)))
    const there = await zettelsIn(join(bench.stateDir, 'zettel_repository/general'))
    expect(there).toStrictEqual(expect.arrayContaining(stored))
    // What it was at when it was killed may be there, whole.
    expect(there.length - stored.length).toBeLessThanOrEqual(round)
  }
  expect(stored.length).toBeGreaterThanOrEqual(18)
  expect(stored.every((id) => /^[0-9A-Z]{26}$/.test(id))).toBe(true)
  await writeFile(join(bench.stateDir, 'zettel_repository/.drafts/left'), 'half')
  await bench.start()
  const { status, body } = await bench.ask(
    { content: stored.map((id) => `[[${id}]]`).join() },
    'spiffe://crank.local/worker/streaming',
  )
  expect(status).toBe(200)
  expect(body.links).toStrictEqual(stored.map((id) => ({ target: id, zettel_ids: [id] })))
  expect(await bench.tree()).not.toContain('zettel_repository/.drafts/left')
})

test('refuses a second process in the folder, and takes over when the first is gone', async () => {
  await bench.start()
  expect((await bench.ask({ content: 'first' })).status).toBe(200)
  const child = spawn(process.execPath, [MAIN, bench.stateDir, '1'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) said.push(line)
  expect(said).toStrictEqual(['STORAGE_FAILURE'])
  await bench.start()
  expect((await bench.ask({ content: 'second' })).status).toBe(200)
})
