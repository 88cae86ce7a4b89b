// SIGKILL of the shipper at any moment: while a request is under way, after the collector has it and before its answer, between
// answer and place. Nothing is lost, and the order stays.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readShipped } from '../../../src/audit/shipped.ts'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'
import { startLogsReceiver, type LogsReceiver } from '../../fixtures/otlp-logs-receiver.ts'
import { until } from '../../fixtures/until.ts'

const PROGRAM = fileURLToPath(new URL('../../fixtures/shipper-process.ts', import.meta.url))
const KILLS = 12
const RECORDS = 40

/** Starts a shipper, and kills it as soon as `moment` holds. */
async function killedWhen(
  chain: MadeChain,
  receiver: LogsReceiver,
  moment: () => boolean | Promise<boolean>,
): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, chain.folder, receiver.url], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  try {
    await until('the moment to kill it', moment)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

/** What was acknowledged is a chain without a gap: each record that came first time follows the one before. */
function firstTimes(receiver: LogsReceiver): string[] {
  return [...new Set(receiver.bodies())]
}

test('between the request and its answer: the batch is sent again', async () => {
  const [chain, receiver] = [await makeChain(), await startLogsReceiver()]
  await chain.add(...decisions(RECORDS))
  receiver.reply = 'hang'
  await killedWhen(chain, receiver, () => receiver.requests.length === 1)
  expect(await readShipped(chain.folder, 'otlp')).toBeUndefined()
  receiver.reply = 'take'
  await killedWhen(chain, receiver, () => receiver.taken.length >= RECORDS)
  expect(firstTimes(receiver)).toEqual(chain.lines)
})

test(`${KILLS} times at moments of its own choice, while the log grows and is rotated`, async () => {
  const [chain, receiver] = [await makeChain(), await startLogsReceiver()]
  for (let kill = 1; kill <= KILLS; kill++) {
    await chain.add(...decisions(RECORDS))
    if (kill % 3 === 0) await chain.rotate()
    const before = receiver.requests.length
    // At the request, at the answer, or once the place is on the disk.
    const moments = [
      () => receiver.requests.length > before,
      () => firstTimes(receiver).length === chain.lines.length,
      async () => (await readShipped(chain.folder, 'otlp'))?.seq === chain.head.seq,
    ]
    await killedWhen(chain, receiver, moments[kill % moments.length]!)
  }
  await killedWhen(chain, receiver, async () => (await readShipped(chain.folder, 'otlp'))?.seq === chain.head.seq)
  expect(firstTimes(receiver)).toEqual(chain.lines)
  expect(receiver.faults).toEqual([])
})
