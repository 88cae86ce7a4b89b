// Whoever takes log lines and metrics, or does not: the controller serves its callers, and lines are what is lost.
import { closeSync, openSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { StdioOptions } from 'node:child_process'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { CRANK, type LogLine } from '../fixtures/controller-process.ts'
import {
  createPipe,
  startMutedController,
  type MutedController,
  type MutedOptions,
} from '../fixtures/muted-controller.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 90_000 })

const CALLS = 60
const SERVED = new Array<number>(CALLS).fill(200)
// A pipe holds 64 KiB and the buffer 1 MiB; the line of a denied call has 400 bytes and more.
const TOO_MANY = 4000

let parties: Parties
beforeAll(async () => {
  parties = await createParties()
})
afterAll(() => parties.close())

const linesOf = (text: string): LogLine[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LogLine)

/** Calls are served and the controller answers, `meanwhile` too; then it ends as it should. */
async function serves(options: MutedOptions, meanwhile?: (controller: MutedController) => Promise<void>) {
  const controller = await startMutedController(parties, options)
  try {
    await meanwhile?.(controller)
    expect(await controller.call(CALLS)).toEqual(SERVED)
    expect(controller.worker.seen).toHaveLength(CALLS)
    expect((await fetch(`${controller.adminOrigin}/livez`)).status).toBe(200)
    expect(controller.child.exitCode).toBeNull()
  } finally {
    expect(await controller.stop()).toBe(0)
  }
}

const fill = async (controller: MutedController): Promise<void> => {
  const statuses = new Set(await controller.call(TOO_MANY, 'document_to_pdf'))
  expect(statuses).toEqual(new Set([403]))
  expect(await controller.dropped()).toBeGreaterThan(0)
}

const full = openSync('/dev/full', 'w')
afterAll(() => closeSync(full))
for (const [name, stdio] of Object.entries({
  stdout: ['ignore', full, 'ignore'],
  stderr: ['ignore', 'ignore', full],
  'stdout and stderr': ['ignore', full, full],
} satisfies Record<string, StdioOptions>)) {
  test(`serves its callers with ${name} on a full disk`, () => serves({ stdio }))
}

test('serves its callers with stdout and stderr on a pipe that nobody reads, and says what was lost when somebody does', async () => {
  const pipe = createPipe(parties.dir)
  let lost = 0
  const text: string[] = []
  await serves({ stdio: ['ignore', pipe.fd, pipe.fd] }, async (controller) => {
    await fill(controller)
    lost = await controller.dropped()
    await until('the pipe is read and the loss said', () => {
      text.push(pipe.read())
      return text.join('').includes('log_lines_dropped')
    })
  })
  text.push(pipe.read())
  const lines = linesOf(text.join(''))
  const said = lines.filter(({ event }) => event === 'log_lines_dropped')
  expect(said).toEqual([expect.objectContaining({ level: 'error', count: lost })])
  const denied = lines.filter(({ event }) => event === 'capability_access_denied')
  expect(denied.length + lost).toBe(TOO_MANY)
  expect(lines.filter(({ event }) => event === 'capability_access_allowed')).toHaveLength(CALLS)
  expect(lines.at(-1)).toMatchObject({ event: 'controller_stopped' })
  pipe.close()
})

test('serves its callers with stdout on a socket that nobody reads, and says what was lost when somebody does', async () => {
  let text = ''
  await serves({ stdio: ['ignore', 'pipe', 'ignore'] }, async (controller) => {
    await fill(controller)
    controller.child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    await until('the loss is said', () => text.includes('log_lines_dropped'))
    await controller.call(1, 'document_to_pdf')
  })
  const lines = linesOf(text)
  expect(lines.filter(({ event }) => event === 'log_lines_dropped')).toHaveLength(1)
  expect(lines.at(-1)).toMatchObject({ event: 'controller_stopped' })
})

test('serves its callers with stdout and stderr on a pipe whose reader has gone', async () => {
  const pipe = createPipe(parties.dir)
  await serves({ stdio: ['ignore', pipe.fd, pipe.fd] }, async (controller) => {
    pipe.closeReader()
    await fill(controller)
  })
  pipe.close()
})

test('serves its callers and ends in time although nobody ever reads stdout', async () => {
  const pipe = createPipe(parties.dir)
  await serves({ stdio: ['ignore', pipe.fd, 'ignore'] }, fill)
  pipe.close()
})

test('serves its callers with stdout on a terminal that stands still, as after Ctrl-S', async () => {
  const command = `exec "${process.execPath}" "${CRANK}" controller`
  let shown = ''
  // The terminal of `script` is read by it alone, and not while it is stopped.
  const options: MutedOptions = {
    stdio: ['ignore', 'pipe', 'ignore'],
    command: ['script', '--quiet', '--return', '--command', command, '/dev/null'],
  }
  await serves(options, async (controller) => {
    controller.child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (shown += chunk))
    controller.child.kill('SIGSTOP')
    await fill(controller)
    controller.child.kill('SIGCONT')
    await until('the loss is said', () => shown.includes('log lines were dropped'))
  })
  expect(shown).toContain('controller is listening')
})

test('serves its callers with stdout and stderr closed', async () => {
  const command = ['sh', '-c', `exec "${process.execPath}" "${CRANK}" controller >&- 2>&-`]
  await serves({ stdio: 'ignore', command })
})

test('writes every line to a file, the last one included', async () => {
  const file = join(parties.dir, 'stdout.jsonl')
  const fd = openSync(file, 'w')
  await serves({ stdio: ['ignore', fd, 'ignore'] })
  closeSync(fd)
  const lines = linesOf(readFileSync(file, 'utf8'))
  expect(lines.filter(({ event }) => event === 'capability_access_allowed')).toHaveLength(CALLS)
  expect(lines.at(-1)).toMatchObject({ event: 'controller_stopped' })
})

test('serves its callers beside scrapers that ask and do not read', async () => {
  await serves({ stdio: 'ignore' }, async ({ adminOrigin }) => {
    const { port } = new URL(adminOrigin)
    for (let n = 0; n < 100; n += 1) {
      const scraper = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      await once(scraper, 'connect')
      scraper.pause().write('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(20))
      onTestFinished(() => void scraper.destroy())
    }
  })
})
