// The shipper over real sockets, against a receiver that takes OTLP JSON strictly: every record at least once, in order, and the
// faults that a collector and a log can have.
import { appendFile, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { verifyAudit } from '../../../src/audit/verify.ts'
import { readShipped, shippedFile } from '../../../src/audit/shipped.ts'
import { compress, decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'
import { refuseWith, startLogsReceiver, type LogsReceiver } from '../../fixtures/otlp-logs-receiver.ts'
import { until } from '../../fixtures/until.ts'
import { AUDIT_EVENTS } from '../../observability/audit-events.ts'
import { ship, type Ship } from './support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Without what was sent again. */
const once = (bodies: readonly string[]): string[] => [...new Set(bodies)]

async function started(events = decisions(3)): Promise<{ chain: MadeChain; receiver: LogsReceiver }> {
  const [chain, receiver] = [await makeChain(), await startLogsReceiver()]
  await chain.add(...events)
  return { chain, receiver }
}

const hasSaid = ({ said }: Ship, event: string) => until(event, () => said.some((line) => line.event === event))

/** Every line has arrived, the first time in order, and everything was valid OTLP. */
async function arrives(receiver: LogsReceiver, chain: MadeChain): Promise<void> {
  await receiver.waitForBodies(chain.lines.length)
  expect(once(receiver.bodies())).toEqual(chain.lines)
  expect(receiver.faults).toEqual([])
}

describe('what is shipped', () => {
  test('every kind of record, unchanged, with what a search needs', async () => {
    const { chain, receiver } = await started(Object.values(AUDIT_EVENTS))
    ship(chain, receiver.url)
    await arrives(receiver, chain)
    const decision = receiver.taken.find(({ eventName }) => eventName === 'policy_decision')
    const { hash, timestamp } = JSON.parse(chain.lines[0]!) as { hash: string; timestamp: string }
    expect(decision).toMatchObject({
      timeUnixNano: `${Date.parse(timestamp)}000000`,
      severityText: 'WARN',
      severityNumber: 13,
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
      resource: { 'service.name': 'crank-controller' },
    })
    expect(decision?.attributes).toMatchObject({
      'crank.audit.seq': 1,
      'crank.audit.slot': 0,
      'crank.audit.hash': hash,
      'crank.audit.event': 'policy_decision',
    })
    expect(receiver.taken.find(({ eventName }) => eventName === 'controller_started')?.severityText).toBe('INFO')
  })

  test('the chain is verified from what arrived', async () => {
    const { chain, receiver } = await started(decisions(20))
    ship(chain, receiver.url)
    await arrives(receiver, chain)
    const copy = join(chain.auditDir, 'copy.jsonl')
    await writeFile(copy, receiver.taken.map(({ body }) => `${body}\n`).join(''))
    expect(await verifyAudit(copy)).toMatchObject({ ok: true, records: 20, head: { hash: chain.head.hash } })
  })

  test('the newest checkpoint, once, and again when it is another', async () => {
    const { chain, receiver } = await started()
    const file = join(chain.folder, 'checkpoint')
    await writeFile(file, 'crank/0\n3\nhash\n\n— key sig\n')
    ship(chain, receiver.url)
    await receiver.waitForBodies(4)
    await writeFile(file, 'another')
    await receiver.waitForBodies(5)
    const notes = receiver.taken.filter(({ eventName }) => eventName === 'audit_checkpoint').map(({ body }) => body)
    expect(notes).toEqual(['crank/0\n3\nhash\n\n— key sig\n', 'another'])
  })

  test('segments in their order, compressed ones too, and what is written while it runs', async () => {
    const { chain, receiver } = await started(decisions(700))
    const first = chain.file
    await chain.rotate()
    await compress(first)
    await chain.add(...decisions(600))
    ship(chain, receiver.url)
    await arrives(receiver, chain)
    const second = chain.file
    await chain.add(...decisions(5))
    await chain.rotate()
    await compress(second)
    await chain.add(...decisions(5))
    await arrives(receiver, chain)
  })

  test('a log that begins after the shipper', async () => {
    const [chain, receiver] = [await makeChain(), await startLogsReceiver()]
    ship(chain, receiver.url)
    await chain.add(...decisions(2))
    await arrives(receiver, chain)
  })

  test('a line that is no record, as an error; a line without an end not before it has one', async () => {
    const { chain, receiver } = await started(decisions(1))
    await appendFile(chain.file, '{"v":1,"seq":2,"prev":"00"}\nhalf of')
    ship(chain, receiver.url)
    await receiver.waitForBodies(2)
    await appendFile(chain.file, ' a line\n')
    await receiver.waitForBodies(3)
    const invalid = receiver.taken.filter(({ eventName }) => eventName === 'audit_line_invalid')
    expect(invalid.map(({ body, severityText }) => [body, severityText])).toEqual([
      ['{"v":1,"seq":2,"prev":"00"}', 'ERROR'],
      ['half of a line', 'ERROR'],
    ])
  })

  test('bytes without an end, in pieces, and then the records that follow', async () => {
    const { chain, receiver } = await started(decisions(2))
    const garbage = 'x'.repeat(3 * 1024 * 1024)
    await appendFile(chain.file, `${garbage}\n`)
    await chain.add(...decisions(2))
    ship(chain, receiver.url)
    await until('the last record is there', () => receiver.bodies().includes(chain.lines[3]!))
    const isGarbage = (body: string): boolean => body.startsWith('x')
    const pieces = receiver.bodies().filter(isGarbage)
    expect(pieces.join('') === garbage).toBe(true)
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(2 * 1024 * 1024)
    expect(receiver.bodies().filter((body) => !isGarbage(body))).toEqual(chain.lines)
  })

  test('no record that is not durable yet', async () => {
    const { chain, receiver } = await started()
    let durable = 2
    const { shipper } = ship(chain, receiver.url, { durableSeq: () => durable })
    await receiver.waitForBodies(2)
    await until('it has the place of the second', async () => (await shipper.standing()).shippedSeq === 2)
    expect(receiver.seen).toHaveLength(2)
    durable = 3
    await arrives(receiver, chain)
  })

  test('compressed or not, with the headers that were set', async () => {
    const { chain, receiver } = await started()
    const env = { HEADERS: 'authorization=Bearer%20x%2Cy,x-tenant=a', COMPRESSION: 'none' }
    const { shipper } = ship(chain, receiver.url, { env })
    await arrives(receiver, chain)
    await shipper.close()
    expect(receiver.requests[0]?.headers).toMatchObject({ authorization: 'Bearer x,y', 'x-tenant': 'a' })
    expect(receiver.requests[0]?.headers['content-encoding']).toBeUndefined()
    await chain.add(...decisions(1))
    ship(chain, receiver.url)
    await receiver.waitForBodies(4)
    expect(receiver.requests.at(-1)?.headers['content-encoding']).toBe('gzip')
  })
})

describe('a collector that does not take it', () => {
  const REPLIES = {
    'is overloaded (503)': refuseWith(503),
    'limits the rate (429)': refuseWith(429, { 'retry-after': '0' }),
    'has a fault (500)': refuseWith(500),
    'wants another token (401)': refuseWith(401),
    'is another server (404)': refuseWith(404),
    redirects: refuseWith(307, { location: 'http://127.0.0.1:1/' }),
    'is a login page that says 200': refuseWith(200, { 'content-type': 'text/html' }, '<html>log in</html>'),
    'breaks the connection': 'reset',
  } as const
  for (const [what, reply] of Object.entries(REPLIES)) {
    test(`it ${what}: everything is sent again, in order, and said once`, async () => {
      const { chain, receiver } = await started(decisions(4))
      receiver.next.push(reply, reply, reply)
      const shipping = ship(chain, receiver.url)
      await arrives(receiver, chain)
      await hasSaid(shipping, 'audit_ship_resumed')
      expect(shipping.said.map(({ event }) => event)).toEqual(['audit_ship_failed', 'audit_ship_resumed'])
      expect(await shipping.shipper.standing()).toMatchObject({
        lagRecords: 0,
        lastError: null,
        accepted: 4,
        rejected: 0,
      })
    })
  }

  test('it hangs: the request is given up in time', async () => {
    const { chain, receiver } = await started()
    receiver.next.push('hang')
    const shipping = ship(chain, receiver.url, { env: { TIMEOUT: '50' } })
    await arrives(receiver, chain)
    expect(shipping.said[0]).toMatchObject({ event: 'audit_ship_failed', reason: 'no answer in time' })
  })

  test('it is slow: one request at a time, and nothing is lost', async () => {
    const { chain, receiver } = await started(decisions(1200))
    let [open, most] = [0, 0]
    receiver.reply = (response) => {
      most = Math.max(most, ++open)
      setTimeout(() => {
        open -= 1
        response.writeHead(200, JSON_TYPE).end('{}')
      }, 30)
      return true
    }
    ship(chain, receiver.url)
    await arrives(receiver, chain)
    expect(most).toBe(1)
  })

  test('it is away for a while: the place is kept, the lag is known, and everything follows', async () => {
    const { chain, receiver } = await started(decisions(2))
    let nowMs = Date.now()
    const shipping = ship(chain, receiver.url, { now: () => nowMs })
    await arrives(receiver, chain)
    await until('the place is on disk', async () => (await readShipped(chain.folder, 'otlp'))?.seq === 2)
    await receiver.close()
    await chain.add(...decisions(3))
    await hasSaid(shipping, 'audit_ship_failed')
    nowMs = Date.parse((JSON.parse(chain.lines[2]!) as { timestamp: string }).timestamp) + 90_000
    const standing = await shipping.shipper.standing()
    expect(standing).toMatchObject({ shippedSeq: 2, headSeq: 5, lagRecords: 3 })
    expect(standing.lastError).toContain('ECONNREFUSED')
    expect(standing.oldestUnshippedMs).toBe(90_000)
    expect(await readShipped(chain.folder, 'otlp')).toMatchObject({ seq: 2 })
    const again = await startLogsReceiver({ port: receiver.port })
    await again.waitForBodies(3)
    expect(once(again.bodies())).toEqual(chain.lines.slice(2))
  })

  test('Retry-After is waited for: in seconds, or as a date', async () => {
    const { chain, receiver } = await started()
    const now = Date.UTC(2026, 0, 1)
    const date = new Date(now + 120_000).toUTCString()
    const waits: { at: number; header: string }[] = []
    for (const header of ['60', date]) {
      receiver.next.push(refuseWith(429, { 'retry-after': header }))
      const { shipper, said } = ship(chain, receiver.url, { now: () => now })
      await until('it was refused', () => said.length > 0)
      // It waits a minute or two: no further request comes before it is closed.
      waits.push({ at: receiver.requests.length, header })
      await shipper.close()
    }
    expect(waits.map(({ at }) => at)).toEqual([1, 2])
    expect(receiver.taken).toEqual([])
  })

  test('a partial success is counted and said, and not sent again', async () => {
    const { chain, receiver } = await started(decisions(5))
    receiver.next.push((response) => {
      const partialSuccess = { rejectedLogRecords: '2', errorMessage: 'too old' }
      response.writeHead(200, JSON_TYPE).end(JSON.stringify({ partialSuccess }))
      return true
    })
    const shipping = ship(chain, receiver.url)
    await arrives(receiver, chain)
    await hasSaid(shipping, 'audit_ship_rejected')
    expect(shipping.said[0]).toMatchObject({ records: 2, first_seq: 1, last_seq: 5, reason: 'too old' })
    await until('it counts', async () => (await shipping.shipper.standing()).accepted === 3)
    expect(await shipping.shipper.standing()).toMatchObject({ rejected: 2, lagRecords: 0 })
    expect(receiver.seen).toHaveLength(5)
  })

  test('a record that it refuses is found, counted and left out; all others arrive in order', async () => {
    const { chain, receiver } = await started(decisions(20))
    const bad = chain.lines[12]
    receiver.reply = (response, records) => {
      const isBad = records.some(({ body }) => body === bad)
      response.writeHead(isBad ? 400 : 200, JSON_TYPE).end(isBad ? '{"code":3,"message":"no"}' : '{}')
      return !isBad
    }
    const shipping = ship(chain, receiver.url)
    await receiver.waitForBodies(19)
    expect(receiver.bodies()).toEqual(chain.lines.filter((line) => line !== bad))
    await hasSaid(shipping, 'audit_ship_rejected')
    expect(shipping.said).toMatchObject([{ records: 1, first_seq: 13, last_seq: 13, reason: 'HTTP 400: no' }])
  })

  test('an address that refuses everything loses nothing: it is an outage', async () => {
    const { chain, receiver } = await started(decisions(4))
    let isCorrected = false
    let takes = false
    // Corrected between two attempts: a record that is refused before the question whether others are taken would be to blame.
    receiver.reply = (response, records) => {
      if (records.length > 0) takes = isCorrected
      response.writeHead(takes ? 200 : 400, JSON_TYPE).end('{}')
      return takes
    }
    const shipping = ship(chain, receiver.url)
    await hasSaid(shipping, 'audit_ship_failed')
    expect(await shipping.shipper.standing()).toMatchObject({ shippedSeq: 0, lagRecords: 4, rejected: 0 })
    isCorrected = true
    await arrives(receiver, chain)
  })

  test('a batch that is too large as a whole arrives in parts', async () => {
    const { chain, receiver } = await started(decisions(40))
    receiver.reply = (response, records) => {
      const isLarge = records.length > 7
      response.writeHead(isLarge ? 413 : 200, JSON_TYPE).end(isLarge ? '' : '{}')
      return !isLarge
    }
    ship(chain, receiver.url)
    await arrives(receiver, chain)
    expect(receiver.bodies()).toHaveLength(40)
  })

  test('bytes that are not HTTP are a failure', async () => {
    const { chain, receiver } = await started()
    const server = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-x\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const shipping = ship(chain, `http://127.0.0.1:${port}/v1/logs`)
    await hasSaid(shipping, 'audit_ship_failed')
    await shipping.shipper.close()
    ship(chain, receiver.url)
    await arrives(receiver, chain)
  })
})

describe('the place', () => {
  test('a new shipper goes on after the last record that was acknowledged', async () => {
    const { chain, receiver } = await started(decisions(3))
    await ship(chain, receiver.url).shipper.close(5000)
    expect(receiver.bodies()).toEqual(chain.lines)
    const [first] = [chain.file]
    await chain.rotate()
    await compress(first)
    await chain.add(...decisions(2))
    ship(chain, receiver.url)
    await receiver.waitForBodies(6)
    expect(receiver.bodies()).toEqual(chain.lines)
  })

  test('close with time left ships what is left', async () => {
    const { chain, receiver } = await started(decisions(1500))
    await ship(chain, receiver.url).shipper.close(30_000)
    expect(receiver.bodies()).toEqual(chain.lines)
    expect(await readShipped(chain.folder, 'otlp')).toMatchObject({ seq: 1500, hash: chain.head.hash })
  })

  test('close does not wait for a collector that is away, and ends a request that hangs', async () => {
    const { chain, receiver } = await started()
    receiver.reply = 'hang'
    const { shipper } = ship(chain, receiver.url)
    await until('it has sent', () => receiver.requests.length > 0)
    await shipper.close(20)
    await receiver.close()
    await ship(chain, receiver.url).shipper.close(60_000)
    expect(await readShipped(chain.folder, 'otlp')).toBeUndefined()
  })

  test('a damaged place: everything is shipped again', async () => {
    const { chain, receiver } = await started()
    await writeFile(shippedFile(chain.folder, 'otlp'), '{"seq":')
    ship(chain, receiver.url)
    await arrives(receiver, chain)
  })

  test('a place whose position is wrong is found by its hash', async () => {
    const { chain, receiver } = await started(decisions(5))
    const { hash } = JSON.parse(chain.lines[2]!) as { hash: string }
    await writeFile(shippedFile(chain.folder, 'otlp'), JSON.stringify({ seq: 3, hash, position: 7, before: null }))
    ship(chain, receiver.url)
    await receiver.waitForBodies(2)
    expect(receiver.bodies()).toEqual(chain.lines.slice(3))
  })

  test('a log without the record that was shipped last, such as a restored backup, is shipped as a whole', async () => {
    const { chain, receiver } = await started(decisions(5))
    const backup = await readFile(chain.file)
    await chain.add(...decisions(2))
    await ship(chain, receiver.url).shipper.close(5000)
    await writeFile(chain.file, backup)
    const shipping = ship(chain, receiver.url)
    await hasSaid(shipping, 'audit_ship_place_lost')
    await until('the rest is shipped again', () => receiver.taken.length === 12)
    expect(receiver.bodies().slice(7)).toEqual(chain.lines.slice(0, 5))
  })

  test('a segment that has lost its end, as by a power cut without fsync, is shipped again alone', async () => {
    const { chain, receiver } = await started(decisions(4))
    await chain.rotate()
    await chain.add(...decisions(1))
    const kept = await readFile(chain.file)
    await chain.add(...decisions(2))
    await ship(chain, receiver.url).shipper.close(5000)
    await writeFile(chain.file, kept)
    const shipping = ship(chain, receiver.url)
    await hasSaid(shipping, 'audit_ship_place_lost')
    expect(shipping.said[0]).toMatchObject({ seq: 8, from_seq: 5 })
    await until('its records are shipped again', () => receiver.taken.length === 10)
    expect(receiver.bodies().slice(8)).toEqual(chain.lines.slice(4, 6))
    await until('the place is the new end', async () => (await readShipped(chain.folder, 'otlp'))?.seq === 6)
  })

  test('while a lost place is not found again, nothing counts as shipped', async () => {
    const { chain, receiver } = await started(decisions(4))
    await ship(chain, receiver.url).shipper.close(5000)
    await truncate(chain.file, 10)
    receiver.reply = refuseWith(503)
    await hasSaid(ship(chain, receiver.url), 'audit_ship_place_lost')
    await until('the place is gone', async () => (await readShipped(chain.folder, 'otlp')) === undefined)
  })

  test('a log that is cut while it runs is noticed', async () => {
    const { chain, receiver } = await started(decisions(5))
    const shipping = ship(chain, receiver.url)
    await arrives(receiver, chain)
    await until('the place is known', async () => (await shipping.shipper.standing()).shippedSeq === 5)
    await truncate(chain.file, 0)
    await hasSaid(shipping, 'audit_ship_place_lost')
  })

  test('records that were removed before they were shipped are counted as missed', async () => {
    const { chain, receiver } = await started(decisions(2))
    await ship(chain, receiver.url).shipper.close(5000)
    await chain.rotate()
    const unshipped = chain.file
    await chain.add(...decisions(3))
    await chain.rotate()
    await rename(unshipped, `${unshipped}.gone`)
    const shipping = ship(chain, receiver.url)
    await hasSaid(shipping, 'audit_ship_gap')
    expect(shipping.said).toMatchObject([{ records: 4, next_seq: 7 }])
    await until('it counts', async () => (await shipping.shipper.standing()).missed === 4)
    expect(receiver.bodies().slice(2)).toEqual(chain.lines.slice(6))
  })

  test('a place that cannot be written is said, and stops nothing', async () => {
    const { chain, receiver } = await started(decisions(2))
    const shipping = ship(chain, receiver.url)
    await until('the place is on disk', async () => (await readShipped(chain.folder, 'otlp'))?.seq === 2)
    await rm(shippedFile(chain.folder, 'otlp'))
    await mkdir(shippedFile(chain.folder, 'otlp'))
    await chain.add(...decisions(3))
    await arrives(receiver, chain)
    await hasSaid(shipping, 'audit_ship_failed')
    expect(shipping.said[0]).toMatchObject({ reason: expect.stringContaining('cannot be written') as string })
    expect(receiver.bodies()).toHaveLength(5)
  })
})
