// The controller is ended, killed, loses what was not on the disk, runs out of file handles and memory (F14 to F16, F27 to F29).
import { readFile, stat, truncate } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type Socket } from 'node:net'
import { greets, type Execute } from '../../fakes/worker.ts'
import { honestPdp } from '../../fixtures/pdp-honest.ts'
import { startFakePdp } from '../../fakes/pdp.ts'
import { until } from '../../fixtures/until.ts'
import { preloaded } from '../preloaded.ts'
import { finding, tally, type Scenario } from '../scenario.ts'
import type { Lab } from '../lab.ts'
import { segmentFiles } from '../../fixtures/audit-log.ts'

const within =
  (ms: number): Execute =>
  (...call) =>
    void setTimeout(() => greets(...call), ms)

const ended: Scenario = {
  id: 'F14',
  fault: 'controller gets SIGTERM in the middle of 24 calls',
  expected: 'they are finished and recorded; exit code 0 within 10 s',
  short: true,
  async run(lab) {
    const controller = await lab.start()
    await lab.worker({ execute: within(600) })
    const calls = Array.from({ length: 24 }, () => lab.call())
    await until('they are with the worker', () => lab.executions.length >= 24)
    const startMs = performance.now()
    const end = await controller.stop('SIGTERM')
    const tookMs = Math.round(performance.now() - startMs)
    const seen = await Promise.all(calls)
    return finding(
      `${tally(seen.map(({ status }) => status))}; exit code ${end.code ?? 'none'}`,
      `ended after ${tookMs} ms`,
      {
        'every call under way is answered': seen.every(({ status }) => status === 200),
        'it ends with 0': end.code === 0,
      },
      { 'within 10 s': tookMs <= 10_000 },
    )
  },
}

/** Calls under load, every fourth with a key, until `work` is over. Broken ones are expected. */
function mixedLoad(lab: Lab, work: () => Promise<unknown>, prefix: string) {
  return lab.underLoad(8, work, (n) => lab.call(n % 4 === 0 ? { key: `${prefix}-${n >> 3}` } : {}))
}

const killed: Scenario = {
  id: 'F15',
  fault: 'controller SIGKILLed again and again under load',
  expected: 'it starts again, the chain verifies; 0 answered calls without a record',
  async run(lab) {
    let answered = 0
    for (let kill = 0; kill < lab.amounts.kills; kill++) {
      await lab.start()
      // The worker is registered again by the hint on disk, or by its own registration.
      await lab.worker({ instance: String(kill) })
      const work = async (): Promise<void> => {
        const target = lab.told.length + 60
        await until('calls are answered', () => lab.told.length >= target)
        await delay(lab.random() * 20)
        await lab.kill()
      }
      const seen = await mixedLoad(lab, work, `kill-${kill}`)
      answered += seen.filter(({ status }) => status === 200).length
    }
    await lab.start()
    return finding(
      `${lab.amounts.kills} kills; ${answered} calls answered`,
      `${lab.executions.length} executions; rules (a) to (f) below`,
      { 'calls were answered between the kills': answered >= lab.amounts.kills * 20 },
    )
  },
}

const powerLoss: Scenario = {
  id: 'F16',
  fault: 'power loss: what was not synced to the disk is gone (model: the audit file is cut to its last synced write)',
  expected: '0 answered or executed calls lost from the audit log',
  async run(lab) {
    const kills = Math.min(lab.amounts.kills, 8)
    let cut = 0
    let answered = 0
    for (let kill = 0; kill < kills; kill++) {
      const { env, file: synced } = await preloaded(lab, `synced-${kill}`, 'FAULTS_SYNCED_FILE')
      await lab.start({ env })
      await lab.worker({ instance: String(kill) })
      const work = async (): Promise<void> => {
        const target = lab.told.length + 60
        await until('calls are answered', () => lab.told.length >= target)
        await delay(lab.random() * 20)
        await lab.kill()
      }
      answered += (await mixedLoad(lab, work, `loss-${kill}`)).filter(({ status }) => status === 200).length
      cut += await cutToSynced(newestOf(lab.auditLog()), synced)
    }
    await lab.start()
    return finding(
      `${kills} losses, ${cut} bytes that were not on the disk cut off`,
      `${answered} answered, ${lab.executions.length} executed; rules (a) to (f) below`,
      { 'calls were answered between the losses': answered >= kills * 20 },
    )
  },
}

function newestOf(log: string): string {
  const file = segmentFiles(log).at(-1)
  if (file === undefined) throw new Error(`${log} has no segment`)
  return file
}

async function cutToSynced(file: string, synced: string): Promise<number> {
  const { size, ino } = await stat(file)
  const lines = (await readFile(synced, 'utf8')).split('\n')
  const sizes = lines.map((line) => line.split(' ').map(Number)).filter(([inode]) => inode === ino)
  const onDisk = Math.max(0, ...sizes.map(([, length]) => length ?? 0))
  if (onDisk === 0) throw new Error(`${synced} names no synced write of ${file}`)
  if (onDisk < size) await truncate(file, onDisk)
  return Math.max(size - onDisk, 0)
}

const stalled: Scenario = {
  id: 'F27',
  fault: 'the controller stands still for 500 ms while its policy engine answers',
  expected: 'an answer that it reads after the deadline is no allow; calls are served again',
  short: true,
  async run(lab) {
    const pdp = await startFakePdp(honestPdp)
    lab.defer(() => pdp.close())
    const controller = await lab.start({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '200' } })
    await lab.worker()
    await until('calls are served', async () => (await lab.call()).status === 200)
    const seen: (number | null)[] = []
    for (let round = 0; round < 8; round++) {
      let isStopped = false
      pdp.answer(async (asked) => {
        if (honestPdp.isProbe(asked) || isStopped) return honestPdp(asked)
        isStopped = true
        // The answer is given while the controller stands still.
        controller.child.kill('SIGSTOP')
        setTimeout(() => controller.child.kill('SIGCONT'), 500)
        await delay(20)
        return honestPdp(asked)
      })
      seen.push((await lab.call()).status)
      pdp.answer(honestPdp)
      await until('calls are served', async () => (await lab.call()).status === 200)
    }
    return finding(tally(seen), `${seen.filter((status) => status === 200).length} late allows in ${seen.length}`, {
      'a late answer is no allow': !seen.includes(200),
      'the call is refused': seen.every((status) => status === 503),
    })
  },
}

const handles: Scenario = {
  id: 'F28',
  fault: 'file handles run out (ulimit -n 200, 400 idle connections)',
  expected: 'it sheds, it does not end, and it serves within 1 s after the connections have gone',
  async run(lab) {
    const controller = await lab.start({ prefix: ['prlimit', '--nofile=200'] })
    await lab.worker()
    await until('calls are served at first', async () => (await lab.call()).status === 200)
    const { port } = new URL(controller.origin)
    const idle: Socket[] = []
    for (let n = 0; n < 400; n++) {
      const socket = connect({ host: '127.0.0.1', port: Number(port) })
      idle.push(socket.on('error', () => undefined).resume())
    }
    await delay(300)
    const meanwhile = await Promise.all(Array.from({ length: 20 }, () => lab.call({ timeoutMs: 1000 })))
    for (const socket of idle) socket.destroy()
    const startMs = performance.now()
    await until('calls are served after it', async () => (await lab.call()).status === 200)
    const backMs = Math.round(performance.now() - startMs)
    const isAlive = controller.child.exitCode === null
    return finding(
      `meanwhile ${tally(meanwhile.map(({ status }) => status))}; ${isAlive ? 'alive' : 'ended'}`,
      `served ${backMs} ms after the connections have gone`,
      { 'the controller is alive': isAlive, 'calls are served within a second': backMs <= 1000 + lab.noiseMs() },
    )
  },
}

const heap: Scenario = {
  id: 'F29',
  fault: 'little memory (--max-old-space-size=96) under calls of 900 KB with keys',
  expected: 'refusals before the memory is gone: 0 ends of the process',
  async run(lab) {
    const controller = await lab.start({ env: { NODE_OPTIONS: '--max-old-space-size=96' } })
    await lab.worker({ execute: (_request, response, body) => void response.end(body) })
    await until('calls are served', async () => (await lab.call()).status === 200)
    const filler = 'x'.repeat(900_000)
    let keys = 0
    const work = () => delay(lab.amounts.seconds * 1000)
    const seen = await lab.underLoad(24, work, () => lab.call({ key: `heap-${keys++}`, payload: { filler } }))
    const isAlive = controller.child.exitCode === null && controller.child.signalCode === null
    await until('calls are served again', async () => !isAlive || (await lab.call()).status === 200)
    return finding(
      `${tally(seen.map(({ status, error }) => error ?? status))}; ${isAlive ? 'alive' : 'ended'}`,
      `${isAlive ? 0 : 1} ends in ${lab.amounts.seconds} s, ${seen.length} calls of 900 KB`,
      { 'the controller is alive': isAlive, 'some calls are served': seen.some(({ status }) => status === 200) },
    )
  },
}

export const PROCESS_SCENARIOS: readonly Scenario[] = [ended, killed, powerLoss, stalled, handles, heap]
