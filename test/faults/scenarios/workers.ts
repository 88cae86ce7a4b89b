// Workers that are away, silent, cut off, endless, killed (F9 to F13).
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { startFakeWorker, greets, type Execute } from '../../fakes/worker.ts'
import { STREAMING } from '../../fixtures/parties.ts'
import { until } from '../../fixtures/until.ts'
import { readWorkerLog } from '../evidence.ts'
import type { Lab } from '../lab.ts'
import { residentMb } from '../memory.ts'
import { finding, percentile, tally, type Scenario } from '../scenario.ts'
import { startWorkerProcess } from '../worker-process.ts'

const MB = 1024 * 1024
const EDGE_MS = 50

const away: Scenario = {
  id: 'F9',
  fault: 'worker refuses connections; another identity at its place',
  expected:
    'the next instance answers, with nothing sent to the first, which is then avoided; alone: 502 or 503; audited',
  short: true,
  async run(lab) {
    await lab.start()
    const gone = await lab.worker({ instance: 'gone' })
    const here = await lab.worker({ instance: 'here' })
    await gone.close()
    const refused: Awaited<ReturnType<typeof lab.call>>[] = []
    for (let n = 0; n < 20; n++) refused.push(await lab.call())
    const tried = (await lab.recordsOf('state')).records.filter(
      (line) => line.event === 'route_outcome' && Number(line['attempts']) > 1,
    ).length
    refused.push(...(await Promise.all(Array.from({ length: 20 }, () => lab.call()))))
    const impostor = await startFakeWorker(
      { ...lab.parties, request: lab.parties.request.bind(undefined, lab.controller().origin) },
      greets,
      { shows: STREAMING, port: gone.fake.port },
    )
    lab.defer(() => impostor.close())
    const handshakes = await Promise.all(Array.from({ length: 40 }, () => lab.call()))
    await here.close()
    const alone = await lab.call()
    const both = [...refused, ...handshakes]
    return finding(
      `80 calls ${tally(both.map(({ status }) => status))}; alone ${alone.status ?? 'broken'}`,
      `${tried} of 20 calls one after another tried it first; ${impostor.seen.length} requests to the impostor`,
      {
        'every call is answered by the other instance': both.every(({ status }) => status === 200),
        'with no worker left a call is 502 or 503': alone.status === 502 || alone.status === 503,
        'after one refusal the next calls go elsewhere': tried <= 1,
        'the impostor gets nothing': impostor.seen.length === 0,
      },
    )
  },
}

const silent: Scenario = {
  id: 'F10',
  fault: 'worker accepts and never answers; one whose link is silent',
  expected: `504 at the deadline + ${EDGE_MS} ms; the outcome says that nobody knows`,
  short: true,
  async run(lab) {
    await lab.start()
    const timeoutMs = 400
    let isMute = false
    const execute: Execute = (...call) => (isMute ? undefined : greets(...call))
    const worker = await lab.worker({ execute, proxied: true })
    await timed(lab, 5000, 10)
    const plainMs = percentile(
      (await timed(lab, 5000, 20)).map(({ tookMs }) => tookMs),
      0.99,
    )
    isMute = true
    const mute = await timed(lab, timeoutMs, 20)
    await worker.proxy?.set({ silence: true })
    const cut = await timed(lab, timeoutMs, 20)
    await worker.proxy?.set({})
    const late = [...mute, ...cut].map(({ tookMs }) => tookMs - timeoutMs)
    const p99 = percentile(late, 0.99)
    return finding(
      `mute worker ${tally(mute.map(({ status }) => status))}; silent link ${tally(cut.map(({ status }) => status))}`,
      `deadline + ${Math.round(p99)} ms p99 (an answered call takes ${Math.round(plainMs)} ms)`,
      {
        'every call ends with 504': [...mute, ...cut].every(({ status }) => status === 504),
        'no call ends before its deadline': late.every((ms) => ms >= -5),
      },
      { [`no call ends later than ${EDGE_MS} ms after it`]: percentile(late, 0.9) <= EDGE_MS + plainMs },
    )
  },
}

/** A few at a time, so that the figure is that of a call and not of the queue in this process. */
async function timed(lab: Lab, timeoutMs: number, calls: number) {
  const seen: { status: number | null; tookMs: number }[] = []
  for (let n = 0; n < calls; n += 5) {
    const batch = Array.from({ length: 5 }, async () => {
      const startMs = performance.now()
      const { status } = await lab.call({ timeoutMs })
      seen.push({ status, tookMs: performance.now() - startMs })
    })
    await Promise.all(batch)
  }
  return seen
}

const cut: Scenario = {
  id: 'F11',
  fault: 'answer reset or ended in its middle; fewer bytes than announced',
  expected: 'a broken answer or 502; never a short answer that looks complete',
  short: true,
  async run(lab) {
    await lab.start()
    const size = 200_000
    let lies = false
    const execute: Execute = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': size })
      response.write('x'.repeat(lies ? size / 2 : size))
      if (lies) setImmediate(() => request.socket.destroy())
      else response.end()
    }
    const { proxy } = await lab.worker({ execute, proxied: true })
    const statuses: (number | null)[] = []
    let short = 0
    const ask = async (): Promise<void> => {
      const { status, answer } = await lab.call({ timeoutMs: 5000 })
      statuses.push(status)
      if (status === 200 && answer?.text.length !== size) short++
    }
    for (const fault of ['resetAfter', 'truncateAfter'] as const) {
      for (let n = 0; n < 10; n++) {
        // From within the handshake to just before the end.
        await proxy?.set({ [fault]: Math.floor(lab.random() * size) })
        proxy?.resetAll()
        await ask()
      }
    }
    await proxy?.set({})
    lies = true
    for (let n = 0; n < 5; n++) await ask()
    lies = false
    await until('a whole answer comes', async () => (await lab.call()).status === 200)
    return finding(tally(statuses), `${short} short answers that look complete, of ${statuses.length}`, {
      'no short answer looks complete': short === 0,
      'every cut answer is broken or 5xx': statuses.every((status) => status === null || status >= 500),
    })
  },
}

const endless: Scenario = {
  id: 'F12',
  fault: 'worker sends 256 MB, endless headers, a storm of 1xx',
  expected: 'bytes pass without being kept; headers and 1xx are cut off; memory grows by less than 64 MB',
  async run(lab) {
    const { pid } = await lab.start()
    let mode: 'bytes' | 'headers' | 'hints' = 'bytes'
    await lab.worker({
      execute(request, response) {
        if (mode === 'bytes') {
          response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 256 * MB })
          pipeline(Readable.from(megabytes(256)), response).catch(() => undefined)
          return
        }
        const piece = mode === 'headers' ? `x-filler: ${'a'.repeat(1000)}\r\n` : 'HTTP/1.1 103 Early Hints\r\n\r\n'
        if (mode === 'headers') request.socket.write('HTTP/1.1 200 OK\r\n')
        let sent = 0
        const send = (): void => {
          if (sent++ > 200_000 || request.socket.destroyed || !request.socket.writable) return
          request.socket.write(piece.repeat(50))
          setImmediate(send)
        }
        request.socket.on('error', () => undefined)
        send()
      },
    })
    await discarded(lab)
    const before = await residentMb(pid)
    let peak = before
    const timer = setInterval(() => void residentMb(pid).then((mb) => (peak = Math.max(peak, mb))), 50)
    const bytes = await discarded(lab)
    mode = 'headers'
    const headers = await lab.call({ timeoutMs: 2000 })
    mode = 'hints'
    const hints = await lab.call({ timeoutMs: 2000 })
    clearInterval(timer)
    return finding(
      `${bytes / MB} MB passed; headers ${headers.status ?? 'broken'}, 1xx ${hints.status ?? 'broken'}`,
      `memory + ${Math.round(peak - before)} MB`,
      {
        'all bytes pass': bytes === 256 * MB,
        'endless headers are 502': headers.status === 502,
        'a storm of 1xx is 502 or 504': hints.status === 502 || hints.status === 504,
        'memory grows by less than 64 MB': peak - before < 64,
      },
    )
  },
}

function* megabytes(count: number): Generator<Buffer> {
  const chunk = Buffer.alloc(MB)
  for (let n = 0; n < count; n++) yield chunk
}

/** Reads an answer without keeping it. Returns its length. */
async function discarded(lab: Lab): Promise<number> {
  const client = await lab.parties.client(lab.controller().origin, STREAMING)
  const { body } = await client.request({ path: '/route/invoke/hello_world', method: 'POST', body: '{}' })
  let length = 0
  for await (const chunk of body) length += (chunk as Buffer).length
  return length
}

/** Executions that a worker's log says have begun and not ended. */
async function cutOffIn(log: string): Promise<number> {
  return (await readWorkerLog(log)).filter(({ answered }) => answered === 'none').length
}

const killed: Scenario = {
  id: 'F13',
  fault: 'worker process SIGKILLed in the middle of 200 calls',
  expected:
    'its own calls fail, as unknown; no other and no later one does; out within a heartbeat interval and a probe',
  short: true,
  async run(lab) {
    await lab.start({ env: { CRANK_HEARTBEAT_INTERVAL_MS: '2000' } })
    const [first, second] = [await startWorkerProcess(lab, 'first'), await startWorkerProcess(lab, 'second')]
    const work = async (): Promise<void> => {
      await until('calls are answered', () => lab.told.length > 60)
      await until('it executes calls', async () => (await cutOffIn(first.log)) > 0)
      killMs = Date.now()
      await first.kill()
      goneMs = Date.now()
      out = first.untilUnlisted(killMs)
      await until('200 calls have ended', () => lab.told.length >= 200)
    }
    let killMs = 0
    let goneMs = 0
    let out = Promise.resolve(Infinity)
    const payload = () => ({ work_ms: Math.round(30 + lab.random() * 60) })
    const seen = await lab.underLoad(20, work, () => lab.call({ payload: payload() }))
    const cutOff = await cutOffIn(first.log)
    const after = await Promise.all(Array.from({ length: 20 }, () => lab.call()))
    const failed = seen.filter(({ status }) => status !== 200)
    const outMs = await out
    await second.stop()
    return finding(
      `${seen.length} calls ${tally(seen.map(({ status, error }) => error ?? status))}; 20 later ones ${tally(after.map(({ status }) => status))}`,
      `${failed.length} failed, ${cutOff} executions cut off; not routable after ${outMs} ms`,
      {
        // A call that it had not begun to execute fails too, and is no line of its log.
        'some calls were under way on it': cutOff > 0 || failed.length > 0,
        'no call fails that began after it was gone': failed.every(({ startMs }) => startMs <= goneMs),
        'every failed call is 502': failed.every(({ status }) => status === 502),
        'no later call fails': after.every(({ status }) => status === 200),
      },
      { 'it is out within a heartbeat interval and a probe': outMs <= 2000 + 1000 },
    )
  },
}

export const WORKER_SCENARIOS: readonly Scenario[] = [away, silent, cut, endless, killed]
