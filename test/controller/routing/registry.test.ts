import { describe, expect, test } from 'vitest'
import { parseCapability } from '../../../src/core/capability.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { CapabilitySchema } from '../../../src/core/wire.ts'
import {
  MAX_INSTANCES_PER_IDENTITY,
  Registry,
  type Registration,
  type WorkerInstance,
} from '../../../src/controller/routing/registry.ts'

const greet = parseCapability('invoke:hello_world')
const schema: CapabilitySchema = {
  verb: 'invoke',
  name: 'hello_world',
  version: '1.0.0',
  input_schema: { type: 'object' },
  output_schema: { type: 'object' },
  error_codes: [{ code: 'INVALID_INPUT', description: 'bad input', retryable: false }],
}

function registration(workerId: string, spiffeId = 'spiffe://crank.local/worker/hello-world'): Registration {
  return {
    workerId,
    spiffeId: parseSpiffeId(spiffeId),
    origin: 'https://127.0.0.1:8443',
    capabilities: new Map([[greet, schema]]),
  }
}

function setup() {
  let ms = 1000
  let leases = 0
  const gone: WorkerInstance[] = []
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: 100,
    monotonic: () => ms,
    now: () => 1_790_000_000_000,
    newLease: () => `lease-${++leases}`,
    onGone: (instance) => gone.push(instance),
  })
  const pass = (by: number) => {
    ms += by
    registry.sweep()
  }
  return { registry, gone, pass }
}

describe('the registry', () => {
  test('lists a registered instance under each of its capabilities', () => {
    const { registry } = setup()
    const instance = registry.register(registration('worker-a'))
    expect(registry.providers(greet)).toEqual([instance])
    expect(instance.declaredErrors.get(greet)).toEqual(new Set(['INVALID_INPUT']))
    expect(registry.counts()).toMatchObject({ live: 1, stale: 0 })
  })

  test('takes an evicted instance out at once, whatever its lease, and only that one', () => {
    const { registry, gone } = setup()
    const { spiffeId } = registration('worker-a')
    const old = registry.register(registration('worker-a'))
    expect([registry.evict(old), registry.evict(old), gone]).toEqual([true, false, [old]])
    expect(registry.providers(greet)).toEqual([])
    expect(() => registry.heartbeat({ spiffeId, workerId: 'worker-a', lease: old.lease }, 0)).toThrow(AppError)
    const fresh = registry.register(registration('worker-a'))
    expect(registry.evict(old)).toBe(false)
    expect(registry.providers(greet)).toEqual([fresh])
  })

  test('makes the old lease void when an instance registers again', () => {
    const { registry, gone } = setup()
    const { spiffeId } = registration('worker-a')
    const old = registry.register(registration('worker-a'))
    const fresh = registry.register(registration('worker-a'))
    expect(gone).toEqual([old])
    expect(registry.providers(greet)).toEqual([fresh])
    expect(() => registry.heartbeat({ spiffeId, workerId: 'worker-a', lease: old.lease }, 0)).toThrow(AppError)
    expect(() => registry.deregister({ spiffeId, workerId: 'worker-a', lease: old.lease })).toThrow(AppError)
    expect(registry.providers(greet)).toEqual([fresh])
  })

  test('keeps a lease to the identity that registered', () => {
    const { registry } = setup()
    const { lease } = registry.register(registration('worker-a'))
    const other = parseSpiffeId('spiffe://crank.local/worker/streaming')
    expect(() => registry.deregister({ spiffeId: other, workerId: 'worker-a', lease })).toThrow(
      expect.objectContaining({ code: 'worker_not_registered' }),
    )
    expect(registry.providers(greet)).toHaveLength(1)
  })

  test('stops offering a worker after three missed heartbeats and brings it back with the next', () => {
    const { registry, pass } = setup()
    const { spiffeId, lease, workerId } = registry.register(registration('worker-a'))
    pass(300)
    expect(registry.providers(greet)).toHaveLength(1)
    pass(1)
    expect(registry.providers(greet)).toHaveLength(0)
    expect(registry.counts()).toMatchObject({ live: 0, stale: 1 })
    registry.heartbeat({ spiffeId, workerId, lease }, 3)
    expect(registry.providers(greet)).toMatchObject([{ staleMs: undefined, load: 3 }])
  })

  test('removes a worker after twelve missed heartbeats', () => {
    const { registry, pass, gone } = setup()
    const instance = registry.register(registration('worker-a'))
    pass(1200)
    expect(registry.list()).toHaveLength(1)
    pass(1)
    expect(registry.list()).toHaveLength(0)
    expect(gone).toEqual([instance])
    expect(registry.capabilities().size).toBe(0)
  })

  test('refuses one instance too many of one identity, but never a replacement', () => {
    const { registry } = setup()
    const first = registry.register(registration('worker-a.0'))
    for (let i = 1; i < MAX_INSTANCES_PER_IDENTITY; i++) registry.register(registration(`worker-a.${i}`))
    expect(() => registry.register(registration('worker-a.more'))).toThrow(
      expect.objectContaining({ code: 'overloaded' }),
    )
    registry.deregister(first)
    expect(() => registry.register(registration('worker-a.0'))).not.toThrow()
    expect(() => registry.register(registration('worker-a.0'))).not.toThrow()
    expect(() => registry.register(registration('worker-a.more'))).toThrow()
    registry.deregister(registry.register(registration('worker-a.0')))
    expect(() => registry.register(registration('worker-a.more'))).not.toThrow()
  })

  test('refuses one instance too many in all', () => {
    const { registry } = setup()
    for (let i = 0; i < 10_000; i++) {
      registry.register({
        ...registration(`worker-${i}`, `spiffe://crank.local/worker/w${i}`),
        capabilities: new Map(),
      })
    }
    expect(() => registry.register(registration('worker-more'))).toThrow('the registry is full')
  })
})

describe('a drain', () => {
  test('takes the instances of an id out, also new ones, and lets back only those that no other drain has', () => {
    const { registry } = setup()
    const a = registry.register(registration('worker-x.a'))
    const b = registry.register(registration('worker-x.b'))
    const other = registry.register(registration('worker-xy'))
    expect([registry.drain('worker-x.a'), registry.drain('worker-x'), registry.drain('worker-x')]).toEqual([
      true,
      true,
      false,
    ])
    expect(registry.providers(greet)).toEqual([other])
    const late = registry.register(registration('worker-x.c'))
    expect([late.isListed, registry.counts().draining]).toEqual([false, 3])
    expect([registry.undrain('worker-x.b'), registry.undrain('worker-x')]).toEqual([false, true])
    expect(new Set(registry.providers(greet))).toEqual(new Set([other, b, late]))
    expect(registry.drained()).toEqual(['worker-x.a'])
    expect([registry.undrain('worker-x.a'), a.isListed]).toEqual([true, true])
  })

  test('of a worker without heartbeats ends, but only heartbeats bring it back; and the other way round', () => {
    const { registry, pass } = setup()
    const { lease, ...a } = registry.register(registration('worker-x'))
    const instance = registry.list()[0]!
    registry.drain('worker-x')
    pass(301)
    registry.undrain('worker-x')
    expect([instance.isListed, registry.counts()]).toMatchObject([false, { stale: 1 }])
    registry.drain('worker-x')
    registry.heartbeat({ spiffeId: a.spiffeId, workerId: 'worker-x', lease }, 0)
    expect([instance.isListed, registry.counts()]).toMatchObject([false, { draining: 1 }])
    registry.undrain('worker-x')
    expect([instance.isListed, registry.counts()]).toMatchObject([true, { live: 1 }])
  })
})

describe('an instance that lost its id', () => {
  const at = (port: number) => ({ ...registration('worker-x'), origin: `https://127.0.0.1:${port}` })

  test('is known while the one that took it, or a later one, is registered', () => {
    const { registry } = setup()
    registry.register(at(1))
    expect([registry.replacerOf(at(1)), registry.replacerOf(at(2))]).toEqual([undefined, undefined])
    const second = registry.register(at(2))
    expect([registry.replacerOf(at(1)), registry.replacerOf(at(2))]).toEqual([second, undefined])
    const third = registry.register(at(3))
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([third, third, undefined])
    // The one that took it registers again, as after a restart.
    const again = registry.register(at(3))
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([again, again, undefined])
    registry.evict(again)
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([undefined, undefined, undefined])
  })
})
