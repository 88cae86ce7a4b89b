// The audit log by OTLP through a real OpenTelemetry collector: what we send is valid for it, its answers are understood, and an
// outage of it or of what is behind it loses nothing.
import { expect, test } from 'vitest'
import { ship } from '../controller/audit-shipping/support.ts'
import { decisions, makeChain } from '../fixtures/audit-segments.ts'
import { refuseWith, startLogsReceiver, type LogsReceiver } from '../fixtures/otlp-logs-receiver.ts'
import { startLogsCollector } from '../fixtures/stack/logs-collector.ts'
import { until } from '../fixtures/until.ts'
import { AUDIT_EVENTS } from '../observability/audit-events.ts'

const firstTimes = (receiver: LogsReceiver): string[] => [...new Set(receiver.bodies())]

test('every kind of record passes through it unchanged, with its attributes, time, severity and ids', async () => {
  const [chain, behind] = [await makeChain(), await startLogsReceiver()]
  await chain.add(...Object.values(AUDIT_EVENTS))
  const collector = await startLogsCollector(behind.url)
  const shipping = ship(chain, collector.url)
  await behind.waitForBodies(chain.lines.length)
  expect(behind.bodies()).toEqual(chain.lines)
  expect(behind.faults).toEqual([])
  const decision = behind.taken[0]!
  const { timestamp, hash } = JSON.parse(chain.lines[0]!) as { timestamp: string; hash: string }
  expect(decision).toMatchObject({
    timeUnixNano: `${Date.parse(timestamp)}000000`,
    severityText: 'WARN',
    eventName: 'policy_decision',
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    attributes: { 'crank.audit.seq': 1, 'crank.audit.hash': hash, 'crank.audit.event': 'policy_decision' },
    resource: { 'service.name': 'crank-controller' },
  })
  expect(shipping.said).toEqual([])
})

test('it is killed and started again, and what is behind it refuses: everything arrives, in order', async () => {
  const [chain, behind] = [await makeChain(), await startLogsReceiver()]
  await chain.add(...decisions(800))
  const collector = await startLogsCollector(behind.url)
  const shipping = ship(chain, collector.url)
  await behind.waitForBodies(800)
  await collector.end('SIGKILL')
  await chain.add(...decisions(300))
  await chain.rotate()
  await until('the outage is noticed', async () => (await shipping.shipper.standing()).lastError !== null)
  await collector.start()
  await behind.waitForBodies(chain.lines.length)
  behind.next.push(refuseWith(503), refuseWith(429))
  await chain.add(...decisions(50))
  await behind.waitForBodies(chain.lines.length)
  expect(firstTimes(behind)).toEqual(chain.lines)
  expect(await shipping.shipper.standing()).toMatchObject({ rejected: 0, missed: 0 })
})
