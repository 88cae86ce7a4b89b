import { EventEmitter } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { beforeEach, expect, test } from 'vitest'
import type { MetricFamily } from '../../../src/controller/metrics/merged-metrics.ts'
import { createFamily } from '../../../src/controller/processes/family.ts'
import { createPolicyTurns } from '../../../src/controller/processes/policy-turns.ts'
import { createAwaited } from '../../../src/controller/routing/awaited.ts'
import { Registry } from '../../../src/controller/routing/registry.ts'
import { createRoll } from '../../../src/controller/routing/roll.ts'
import { until } from '../../fixtures/until.ts'

type Frame = { readonly kind: string; readonly id: number; readonly name?: string; readonly answer?: MetricFamily[] }

/** The channel of a process, as the parent sees it. */
class FakeChild extends EventEmitter {
  readonly connected = true
  readonly sent: Frame[] = []
  send(frame: Frame): void {
    this.sent.push(frame)
  }
  /** What the process says. */
  say(frame: object): void {
    this.emit('message', frame)
  }
  /** Answers the questions for its metrics. */
  tellCount(value: number): void {
    const asked = this.sent.filter(({ kind, name }) => kind === 'ask' && name === 'metrics')
    for (const { id } of asked) this.say({ kind: 'answer', id, answer: counted(value) })
  }
}

function counted(value: number): MetricFamily[] {
  return [{ name: 'calls_total', help: 'Calls.', type: 'counter', aggregator: 'sum', values: [{ value, labels: {} }] }]
}

let family: ReturnType<typeof createFamily>
let children: FakeChild[]
const asChild = (child: FakeChild): ChildProcess => child as unknown as ChildProcess
beforeEach(() => {
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: 100,
    monotonic: () => 0,
    onGone: () => undefined,
  })
  const awaited = createAwaited([])
  family = createFamily({
    of: 3,
    roll: createRoll({ registry, awaited, hint: undefined }),
    parts: { registry, awaited, monotonic: () => 0 },
    store: {} as never,
    turns: createPolicyTurns(),
    ownMetrics: () => Promise.resolve([]),
    log: { error: () => undefined },
    onServing: () => undefined,
  })
  children = [0, 1, 2].map((slot) => {
    const child = new FakeChild()
    family.joined(slot, asChild(child))
    child.say({ kind: 'tell', name: 'listening', ask: { port: 1, adminPort: 2, engine: 'opa-wasm', revision: 'a' } })
    return child
  })
})

test('counts a process that dies during a scrape once', async () => {
  const [a, b, c] = children as [FakeChild, FakeChild, FakeChild]
  a.say({ kind: 'ask', id: 7, name: 'metricsOfAll', ask: null })
  await until('all are asked', () => children.every(({ sent }) => sent.some(({ name }) => name === 'metrics')))
  a.tellCount(1)
  b.tellCount(20)
  // Both have answered, and the scrape waits for the third.
  family.left(1, asChild(b))
  c.tellCount(300)
  const reply = (): Frame | undefined => a.sent.find(({ kind, id }) => kind === 'answer' && id === 7)
  await until('the scrape is answered', () => reply() !== undefined)
  expect(reply()?.answer?.[0]?.values[0]?.value).toBe(321)
})
