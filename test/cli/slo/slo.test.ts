// `crank slo check` and `crank slo report` as they are run, on what a controller's metrics would be.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSloMetrics } from '../../../src/controller/slo/metrics-slo.ts'
import { createSloSet } from '../../../src/controller/slo/slo-set.ts'
import { createRegistry } from '../../../src/platform/metrics.ts'
import { HELLO_CAPABILITY, slo } from '../../controller/slo/slos.ts'
import { crank } from '../in-process.ts'

let dir: string
let server: Server
let url: string
let served = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-slo-'))
  server = createServer((request, response) => {
    response.writeHead(request.url === '/metrics' ? 200 : 404).end(served)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  await rm(dir, { recursive: true })
})

/** The metrics of a controller that had so many calls in its first second. */
async function scrape({
  good = 0,
  slow = 0,
  bad = 0,
}: {
  good?: number
  slow?: number
  bad?: number
}): Promise<string> {
  const registry = createRegistry()
  const set = createSloSet({ monotonic: () => 1000, random: () => 0 })
  set.follow([slo()])
  const answer = { outcome: 'completed', status: 200, error: undefined } as const
  for (let call = 0; call < good; call += 1) set.ended(HELLO_CAPABILITY, { ...answer, firstByteMs: 20 })
  for (let call = 0; call < slow; call += 1) set.ended(HELLO_CAPABILITY, { ...answer, firstByteMs: 200 })
  const failed = {
    outcome: 'worker_failed',
    status: 502,
    error: { code: 'worker_failed' },
    firstByteMs: undefined,
  } as const
  for (let call = 0; call < bad; call += 1) set.ended(HELLO_CAPABILITY, failed)
  createSloMetrics(registry, { all: set.all, faults: () => 0, monotonic: () => 1000 })
  return registry.metrics()
}

async function scrapeFile(calls: Parameters<typeof scrape>[0]): Promise<string> {
  const file = join(dir, 'scrape.txt')
  await writeFile(file, await scrape(calls))
  return file
}

describe('crank slo check', () => {
  test('ends with 0 while every objective is met, also without a call and with exactly what is allowed', async () => {
    for (const calls of [{ good: 500, slow: 3, bad: 2 }, {}, { good: 99, bad: 1 }]) {
      const { code, stdout, stderr } = await crank(['slo', 'check', '--metrics', await scrapeFile(calls)])
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '2 objectives, all met\n' })
    }
  })

  test('ends with 1 and the figures of each objective that is missed', async () => {
    const file = await scrapeFile({ good: 880, slow: 100, bad: 20 })
    const { code, stdout, stderr } = await crank(['slo', 'check', '--metrics', file])
    expect(code).toBe(1)
    expect(stdout.split('\n')).toEqual([
      'missed  invoke:hello_world availability: 98 % of 1000 calls did not fail, the objective is 99 % over 30 d; ' +
        '20 missed it, budget left -100 %, burn rate 2.0 over 1 h',
      'missed  invoke:hello_world p95: 89.8 % of 980 calls began their answer within 100 ms, the objective is 95 % over ' +
        '30 d; 100 missed it, budget left -104.08 %, burn rate 2.0 over 1 h',
      '',
    ])
    expect(stderr).toBe('2 of 2 objectives missed\n')
    const json = await crank(['slo', 'check', '--metrics', file, '--json'])
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      missed: [
        { capability: 'invoke:hello_world', objective: 'availability', target: 0.99, attained: 0.98, calls: 1000 },
        { objective: 'p95', limit_ms: 100, burning: null },
      ],
    })
  })

  test('asks a controller', async () => {
    served = await scrape({ bad: 5 })
    expect(await crank(['slo', 'check', '--url', url])).toMatchObject({ code: 1 })
    served = await scrape({ good: 5 })
    expect(await crank(['slo', 'check'], { env: { CRANK_ADMIN_URL: url } })).toMatchObject({ code: 0 })
  })

  test.each([
    ['without SLOs', ['--metrics', 'EMPTY'], 2, 'no service level objectives'],
    ['that does not exist', ['--metrics', 'ABSENT'], 2, 'cannot be read'],
    ['of several controllers', ['--metrics', 'TWO'], 2, 'several series of controller_slo_objective_ratio'],
    ['beside a URL', ['--metrics', 'EMPTY', '--url', 'http://127.0.0.1:1'], 2, 'cannot be used with'],
    ['of a controller that does not answer', ['--url', 'http://127.0.0.1:1'], 3, 'no metrics from http://127.0.0.1:1'],
  ])('says of a scrape %s what is wrong', async (_what, args, code, said) => {
    const one = await scrape({})
    await writeFile(join(dir, 'EMPTY'), '# EOF\n')
    await writeFile(join(dir, 'TWO'), one + one)
    const placed = args.map((arg) => (/^[A-Z]+$/.test(arg) ? join(dir, arg) : arg))
    const ended = await crank(['slo', 'check', ...placed])
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toContain(said)
  })

  test('checks files without a controller', async () => {
    expect(await crank(['slo', 'check', '--dir', 'slos'])).toMatchObject({
      code: 0,
      stderr: 'slos: 1 SLO, no faults\n',
    })
    await writeFile(join(dir, 'a.yaml'), 'capability: invoke:x\nowner: me\nwindow: 30d\navailability: 2\n')
    const faulty = await crank(['slo', 'check', '--dir', dir])
    expect(faulty.code).toBe(1)
    expect(faulty.stdout).toBe(
      `${dir}/a.yaml:4:1: availability must be a share from 0.5 to below 1, such as 0.999 for 99.9 %\n`,
    )
    const json = await crank(['slo', 'check', '--dir', dir, '-o', 'json'])
    expect(JSON.parse(json.stdout)).toEqual({ ok: false, faults: [faulty.stdout.trim()] })
  })
})

describe('crank slo report', () => {
  test('has a row for each objective, with state and burn', async () => {
    const { code, stdout, stderr } = await crank([
      'slo',
      'report',
      '--metrics',
      await scrapeFile({ good: 800, bad: 200 }),
    ])
    expect(code).toBe(0)
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['CAPABILITY', 'OBJECTIVE', 'TARGET', 'ATTAINED', 'CALLS', 'BUDGET LEFT', 'BURN 5M', '1H', '6H', 'STATE'],
      [
        'invoke:hello_world',
        'availability over 30 d',
        '99 %',
        '80 %',
        '1000',
        '-1900 %',
        '20.0',
        '20.0',
        '20.0',
        'missed, burns fast',
      ],
      ['invoke:hello_world', 'p95 <= 100 ms', '95 %', '100 %', '800', '100 %', '0.0', '0.0', '0.0', 'met'],
      [''],
    ])
    expect(stderr).toBe('2 objectives of 1 capability\n')
  })

  test('as JSON has the same, and what is shed', async () => {
    const { stdout } = await crank(['slo', 'report', '--metrics', await scrapeFile({ good: 10 }), '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      objectives: [
        { objective: 'availability', attained: 1, budget_left: 1, missed: false, shed: { low: 0, normal: 0 } },
        { objective: 'p95', limit_ms: 100, latency_ms: expect.any(Number) },
      ],
    })
  })
})
