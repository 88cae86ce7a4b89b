// A damaged segment between others: what can be read of it is shipped, then a record of what cannot, then the rest of the log.
import { closeSync, openSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { compressedFile } from '../../../src/audit/places.ts'
import { framesIn } from '../../../src/audit/seekable.ts'
import { readShipped, shippedFile } from '../../../src/audit/shipped.ts'
import { compressed } from '../../audit/index/logs.ts'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'
import { startLogsReceiver, type LogsReceiver } from '../../fixtures/otlp-logs-receiver.ts'
import { until } from '../../fixtures/until.ts'
import { ship } from './support.ts'

/** Segments of 20 records, each but the first with `audit_segment_opened` before them: 1 to 20, 21 to 41, 42 to 62, … */
async function made(segments: number): Promise<{ chain: MadeChain; files: string[]; receiver: LogsReceiver }> {
  const [chain, receiver] = [await makeChain(), await startLogsReceiver()]
  const files: string[] = []
  for (let n = 0; n < segments; n++) {
    if (n > 0) await chain.rotate()
    await chain.add(...decisions(20))
    files.push(chain.file)
  }
  for (const file of files.slice(0, -1)) {
    await writeFile(compressedFile(file), compressed(await readFile(file, 'latin1')))
    await rm(file)
  }
  return { chain, files, receiver }
}

/** Turns over the bytes of a frame of seven records; the table stays. */
async function damageFrame(file: string, at: number): Promise<void> {
  const bytes = await readFile(file)
  const fd = openSync(file, 'r')
  const frame = framesIn(fd, bytes.length)?.[at]
  closeSync(fd)
  bytes.fill(0xff, frame!.at, frame!.at + 4)
  await writeFile(file, bytes)
}

const numbers = (receiver: LogsReceiver): unknown[] =>
  receiver.taken.map(({ eventName, attributes }) =>
    eventName === 'audit_segment_damaged'
      ? [attributes['crank.audit.first_seq'], attributes['crank.audit.last_seq']]
      : attributes['crank.audit.seq'],
  )
const taken = (receiver: LogsReceiver, count: number) =>
  until(`${count} records are acknowledged`, () => receiver.taken.length >= count)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)

test('that has no whole frame left is told as a whole, and counted as missed', async () => {
  const { chain, files, receiver } = await made(3)
  const file = compressedFile(files[1]!)
  await writeFile(file, 'garbage')
  const { shipper, said } = ship(chain, receiver.url)
  await taken(receiver, 42)
  expect(numbers(receiver)).toEqual([...range(1, 20), [21, 41], ...range(42, 62)])
  const gap = receiver.taken.find(({ eventName }) => eventName === 'audit_segment_damaged')
  expect(gap).toMatchObject({ severityText: 'ERROR', body: expect.stringContaining(`${file} is damaged (`) as string })
  expect(receiver.faults).toEqual([])
  await until('all is acknowledged', async () => (await shipper.standing()).shippedSeq === 62)
  const news = said.find(({ event }) => event === 'audit_segment_damaged')
  expect(news).toMatchObject({ slot: 0, first_seq: 21, last_seq: 41, file })
  expect(await shipper.standing()).toMatchObject({ missed: 21, lagRecords: 0 })
})

test('is shipped as far as it can be read', async () => {
  const { chain, files, receiver } = await made(3)
  await damageFrame(compressedFile(files[1]!), 1)
  const { shipper } = ship(chain, receiver.url)
  await taken(receiver, 49)
  expect(numbers(receiver)).toEqual([...range(1, 27), [28, 41], ...range(42, 62)])
  expect(await shipper.standing()).toMatchObject({ missed: 14 })
})

test('may be the first of several, and of all', async () => {
  const { chain, files, receiver } = await made(4)
  for (const file of files.slice(0, 3)) await writeFile(compressedFile(file), 'garbage')
  ship(chain, receiver.url)
  await taken(receiver, 22)
  expect(numbers(receiver)).toEqual([[1, 62], ...range(63, 83)])
})

test('in which the last shipped record is does not hold up a restart', async () => {
  const { chain, files, receiver } = await made(3)
  await damageFrame(compressedFile(files[1]!), 1)
  const first = ship(chain, receiver.url)
  await taken(receiver, 49)
  await first.shipper.close(5000)
  const place = await readShipped(chain.folder, 'otlp')
  expect(place).toMatchObject({ seq: 62 })
  // As it was before the last batch was acknowledged.
  const hashOf = (seq: number): string => (JSON.parse(chain.lines[seq - 1]!) as { hash: string }).hash
  const before = { seq: 20, hash: hashOf(20) }
  await writeFile(shippedFile(chain.folder, 'otlp'), JSON.stringify({ seq: 25, hash: hashOf(25), position: 0, before }))
  await writeFile(compressedFile(files[1]!), 'garbage')
  ship(chain, receiver.url)
  await taken(receiver, 49 + 22)
  expect(numbers(receiver).slice(49)).toEqual([[26, 41], ...range(42, 62)])
  await until('the place moves on', async () => (await readShipped(chain.folder, 'otlp'))?.seq === 62)
})
