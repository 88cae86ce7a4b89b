// Error budgets on real sockets: a failing worker burns one, callers of low priority wait, the others get through, and it
// ends by itself.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

const SLO = `capability: invoke:hello_world
owner: team-greeting
window: 30d
availability: 0.99
shed: [low, normal]
`
let dir: string
let mesh: Mesh
let worker: FakeWorker
let isFailing = false
let nowMs = 0

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-slos-'))
  await writeFile(join(dir, 'hello.yaml'), SLO)
  mesh = await startMesh({ env: { CRANK_SLO_DIR: dir }, sloClock: () => nowMs })
  worker = await startFakeWorker(mesh, (request, response, body) => {
    if (isFailing) response.writeHead(500).end('{}')
    else greets(request, response, body)
  })
  await worker.register({ workerId: 'worker-hello-world' })
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
  await rm(dir, { recursive: true })
})

type Priority = 'low' | 'normal' | 'high'
const call = (priority: Priority): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {}, priority })

/** `seconds` of the clock of the budgets, with so many calls in each; the answers. */
async function pass(seconds: number, priority: Priority, perSecond = 1): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let second = 0; second < seconds; second += 1) {
    nowMs += 1000
    for (let one = 0; one < perSecond; one += 1) answers.push(await call(priority))
  }
  return answers
}

const shedOf = (answers: readonly Answer[]): Answer[] => answers.filter(({ body }) => body?.error === 'slo_shed')

async function metric(name: string, ...labels: string[]): Promise<number> {
  const { text } = await mesh.admin('/metrics')
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`))
  const line = lines.find((one) => labels.every((label) => one.includes(label)))
  return Number(line?.split(' ').at(-1))
}

describe('an error budget', () => {
  test('is not touched by denials, malformed calls and errors of callers', async () => {
    const denied = await mesh.route('worker/hello-world', { verb: 'convert', capability: 'document_to_pdf' })
    expect(denied.status).toBe(403)
    const stranger = await mesh.route('worker/stranger', { verb: 'invoke', capability: 'hello_world' })
    expect(stranger.status).toBe(403)
    const malformed = await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', priority: 'urgent' })
    expect(malformed.status).toBe(400)
    expect(await metric('controller_slo_calls_total', 'objective="availability"')).toBe(0)
  })

  test('that burns sheds low first and never high, and says so to the caller, in the audit log and in the metrics', async () => {
    expect(shedOf(await pass(10, 'low'))).toEqual([])
    isFailing = true
    expect(shedOf(await pass(30, 'normal'))).toEqual([])
    const low = await pass(60, 'low')
    const [shed] = shedOf(low)
    expect(shed).toMatchObject({ status: 503, body: { error: 'slo_shed' } })
    expect(Number(shed?.headers['retry-after'])).toBeGreaterThanOrEqual(5)
    const record = await mesh.auditedAs((line) => line['error'] === 'slo_shed')
    expect(record).toMatchObject({
      event: 'route_outcome',
      outcome: 'refused',
      status: 503,
      worker_id: null,
      attempts: 0,
    })
    expect(await metric('controller_slo_shed_total', 'priority="low"')).toBe(shedOf(low).length)
    expect(await metric('controller_slo_shed_ratio', 'priority="low"')).toBeGreaterThan(0.5)
    expect(await metric('controller_slo_shed_total', 'priority="normal"')).toBe(0)
    expect(shedOf(await pass(10, 'normal'))).toEqual([])
    expect(shedOf(await pass(10, 'high'))).toEqual([])
  })

  test('that goes on burning sheds normal too, and still never high', async () => {
    expect(shedOf(await pass(120, 'normal')).length).toBeGreaterThan(5)
    expect(await metric('controller_slo_shed_ratio', 'priority="normal"')).toBeGreaterThan(0.5)
    expect(shedOf(await pass(20, 'high', 3))).toEqual([])
  })

  test('ends the shedding by itself within two minutes after the worker has recovered', async () => {
    isFailing = false
    await pass(120, 'high')
    expect(shedOf(await pass(20, 'low'))).toEqual([])
    expect(await metric('controller_slo_shed_ratio', 'priority="low"')).toBe(0)
    expect(await metric('controller_slo_budget_left_ratio', 'objective="availability"')).toBeLessThan(0)
  })
})

describe('the files', () => {
  test('are followed live; one with a fault has no effect, and shows with its line', async () => {
    await writeFile(join(dir, 'hello.yaml'), SLO.replace('0.99', '99'))
    const health = async () => JSON.parse((await mesh.admin('/health')).text) as { status: string; checks: object[] }
    const noted = { name: 'slos', ok: true, reason: expect.stringContaining('hello.yaml:4:1: availability must be') }
    await expect.poll(async () => (await health()).checks).toContainEqual(noted)
    expect((await health()).status).toBe('ready')
    expect(await metric('controller_slo_objective_ratio', 'objective="availability"')).toBe(0.99)

    await writeFile(join(dir, 'hello.yaml'), SLO.replace('0.99', '0.95'))
    await until('the SLO is in force', async () => (await metric('controller_slo_objective_ratio')) === 0.95)
    expect((await health()).checks).not.toContainEqual(expect.objectContaining({ name: 'slos' }))
    // The calls are still counted.
    expect(await metric('controller_slo_missed_total', 'objective="availability"')).toBeGreaterThan(50)

    await rm(join(dir, 'hello.yaml'))
    await until('the SLO is gone', async () => Number.isNaN(await metric('controller_slo_objective_ratio')))
  })

  test('with faults keep a controller from starting, and all are named', async () => {
    const faulty = join(dir, 'faulty')
    await mkdir(faulty)
    await writeFile(join(faulty, 'a.yaml'), SLO.replace('owner', 'ower'))
    await writeFile(join(faulty, 'b.yaml'), SLO.replace('30d', 'a month'))
    const starting = startMesh({ env: { CRANK_SLO_DIR: faulty } })
    await expect(starting).rejects.toMatchObject({
      name: 'ConfigError',
      faults: [
        expect.stringMatching(/a\.yaml:1:1: owner is missing$/),
        expect.stringMatching(/a\.yaml:2:1: ower is unknown; allowed are /),
        expect.stringMatching(/b\.yaml:3:1: window must be a duration from 1d to 90d, such as 30d$/),
      ],
    })
    const absent = startMesh({ env: { CRANK_SLO_DIR: join(dir, 'absent') } })
    await expect(absent).rejects.toMatchObject({
      faults: [expect.stringMatching(/absent: no such folder; set CRANK_SLO_DIR/)],
    })
  })
})
