// The disk is full or slow, files on it are damaged, the collector of traces is away (F18 to F20, F26).
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startOtlpReceiver } from '../../../scripts/lab/otlp-receiver.ts'
import { until } from '../../fixtures/until.ts'
import { residentMb } from '../memory.ts'
import { preloaded } from '../preloaded.ts'
import { finding, percentile, tally, type Scenario } from '../scenario.ts'

const full: Scenario = {
  id: 'F18',
  fault: 'the audit file can no longer grow (RLIMIT_FSIZE)',
  expected: '503 and red readiness, 0 executions without a record; served by itself when there is room',
  short: true,
  async run(lab) {
    const controller = await lab.start({ prefix: ['prlimit', '--fsize=60000:unlimited'] })
    await lab.worker()
    const fromMs = Date.now()
    const enough = () => lab.told.filter(({ status }) => status === 503).length >= 20
    const seen = await lab.underLoad(8, () => until('the disk is full', enough, 60_000))
    const refused = seen.filter(({ status }) => status === 503)
    const turnsRed = async (): Promise<boolean> => {
      await lab.call()
      return !(await lab.ready())
    }
    const isRed = await until('readiness is red', turnsRed).then(
      () => true,
      () => false,
    )
    execFileSync('prlimit', ['--pid', String(controller.pid), '--fsize=unlimited'])
    const startMs = performance.now()
    await until('calls are served', async () => (await lab.call()).status === 200)
    const backMs = Math.round(performance.now() - startMs)
    lab.auditOutage(fromMs, Date.now())
    return finding(
      `${tally(seen.map(({ status, error }) => error ?? status))}; readiness ${isRed ? 'red' : 'green'}`,
      `${lab.executions.length} executions, 0 without a record by rule (a); served ${backMs} ms after there is room`,
      {
        'refusals say audit_unavailable': refused.every(({ error }) => error === 'audit_unavailable'),
        'readiness is red': isRed,
      },
      { 'calls are served again within 5 s': backMs < 5000 },
    )
  },
}

const slow: Scenario = {
  id: 'F19',
  fault: 'every fsync of the audit log takes 500 ms, then 3 s',
  expected: 'calls wait a bounded time, then 503; memory stays flat; nothing queues without end',
  async run(lab) {
    const { env, set } = await preloaded(lab, 'sync-delay', 'FAULTS_SYNC_DELAY_FILE')
    const controller = await lab.start({ env })
    await lab.worker()
    await until('calls are served', async () => (await lab.call()).status === 200)
    const before = await residentMb(controller.pid)
    const took = async (delayMs: number) => {
      await set(delayMs)
      const fromMs = Date.now()
      const seen = await lab.underLoad(32, () => delay(lab.amounts.seconds * 500))
      await set(0)
      await until('calls are served', async () => (await lab.call()).status === 200)
      lab.auditOutage(fromMs, Date.now())
      return { seen, slowestMs: Math.max(...seen.map(({ startMs, endMs }) => endMs - startMs)) }
    }
    const half = await took(500)
    const three = await took(3000)
    const growth = (await residentMb(controller.pid)) - before
    return finding(
      `500 ms: ${tally(half.seen.map(({ status, error }) => error ?? status))}; 3 s: ${tally(three.seen.map(({ status, error }) => error ?? status))}`,
      `the slowest call took ${three.slowestMs} ms; memory ${growth >= 0 ? '+' : ''}${Math.round(growth)} MB`,
      {
        'calls are served while a sync takes 500 ms': half.seen.some(({ status }) => status === 200),
        'every other call is 503': [...half.seen, ...three.seen].every(
          ({ status }) => status === 200 || status === 503,
        ),
        'no call waits longer than 5 s': three.slowestMs <= 5000,
        'memory grows by less than 64 MB': growth < 64,
      },
    )
  },
}

const collector: Scenario = {
  id: 'F20',
  fault: 'the collector of traces is away, or takes spans and never answers',
  expected: 'every call is served; lost spans are counted; memory stays flat; latency as without',
  async run(lab) {
    const eager = { OTEL_BSP_SCHEDULE_DELAY: '10', OTEL_BSP_MAX_QUEUE_SIZE: '64', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '16' }
    const hanging = await startOtlpReceiver({ mode: 'hang' })
    lab.defer(() => hanging.close())
    const took = async (url: string | undefined, state: string) => {
      const env = url === undefined ? {} : { ...eager, OTEL_EXPORTER_OTLP_ENDPOINT: url }
      const { pid } = await lab.start({ env, state })
      const worker = await lab.worker()
      await lab.underLoad(4, () => delay(1000))
      const before = await residentMb(pid)
      const seen = await lab.underLoad(4, () => delay(lab.amounts.seconds * 300))
      const lost = await lab.metric('controller_spans_lost_total')
      const growth = (await residentMb(pid)) - before
      await worker.close()
      const times = seen.map(({ startMs, endMs }) => endMs - startMs)
      return { seen, lost, growth, median: percentile(times, 0.5), p99: percentile(times, 0.99) }
    }
    const without = await took(undefined, 'without')
    const away = await took('http://127.0.0.1:1', 'away')
    const silent = await took(hanging.url, 'silent')
    const all = [away, silent]
    return finding(
      `away ${tally(away.seen.map(({ status }) => status))}; silent ${tally(silent.seen.map(({ status }) => status))}`,
      `p99 ${away.p99} and ${silent.p99} ms, without ${without.p99} ms (not judged: a shared machine); spans lost ${away.lost} and ${silent.lost}; memory + ${all.map(({ growth }) => Math.round(growth)).join(' and + ')} MB`,
      {
        'every call is served': all.every(({ seen }) => seen.every(({ status }) => status === 200)),
        'lost spans are counted': away.lost > 0,
        'memory grows by less than 64 MB': all.every(({ growth }) => growth < 64),
      },
      { 'the median at most doubles': all.every(({ median }) => median <= 2 * without.median + 5) },
    )
  },
}

const damaged: Scenario = {
  id: 'F26',
  fault: 'the registry on disk is damaged or of another time; the store of idempotency keys is damaged',
  expected: 'starts without it; no call to a worker that nobody knows; with a key 503, without one served',
  async run(lab) {
    await lab.start({ env: { CRANK_HEARTBEAT_INTERVAL_MS: '2000' } })
    const worker = await lab.worker()
    await until('calls are served', async () => (await lab.call({ key: 'first' })).status === 200)
    const registry = join(lab.parties.dir, 'state', 'registry.json')
    await until('the registry is on disk', async () =>
      (await readFile(registry, 'utf8').catch(() => '')).includes('hello'),
    )
    const whole = await readFile(registry, 'utf8')
    const seen: string[] = []
    let wrong = 0
    const damages: Record<string, string> = {
      cut: whole.slice(0, whole.length / 2),
      garbage: 'no registry at all',
      empty: '',
      'another address': whole.replaceAll(String(worker.fake.port), '1'),
    }
    for (const [name, text] of Object.entries(damages)) {
      await lab.kill()
      await writeFile(registry, text)
      const controller = await lab.start()
      const before = await lab.call()
      if (before.status === 200) wrong += 1
      await worker.register()
      seen.push(`${name} ${before.error ?? before.status ?? 'broken'} then ${(await lab.call()).status ?? 'broken'}`)
      if (controller.child.exitCode !== null) throw new Error(`the controller ended with a registry that is ${name}`)
    }
    const store = join(lab.parties.dir, 'state', 'idempotency.sqlite')
    await lab.kill()
    await writeFile(store, 'x'.repeat(8192))
    await lab.start()
    await worker.register()
    const [keyed, bare] = [await lab.call({ key: 'second' }), await lab.call()]
    return finding(
      `${seen.join('; ')}; damaged store: with a key ${keyed.error ?? keyed.status ?? 'broken'}, without ${bare.status ?? 'broken'}`,
      `${wrong} calls routed by a damaged registry`,
      {
        'no call is routed by a damaged registry': wrong === 0,
        'a registered worker is called again': seen.every((line) => line.endsWith('then 200')),
        'a key is refused as idempotency_unavailable': keyed.error === 'idempotency_unavailable',
        'a call without a key is served': bare.status === 200,
      },
    )
  },
}

export const DISK_SCENARIOS: readonly Scenario[] = [full, slow, collector, damaged]
