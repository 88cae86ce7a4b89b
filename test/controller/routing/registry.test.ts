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
import { registerIn } from '../../fixtures/registered.ts'

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
  const gone: WorkerInstance[] = []
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: 100,
    monotonic: () => ms,
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
    const instance = registerIn(registry, registration('worker-a'))
    expect(registry.providers(greet)).toEqual([instance])
    expect(instance.declaredErrors.get(greet)).toEqual(new Set(['INVALID_INPUT']))
    expect(registry.counts()).toMatchObject({ live: 1, stale: 0 })
  })

  test('takes an evicted instance out at once, whatever its lease, and only that one', () => {
    const { registry, gone } = setup()
    const { spiffeId } = registration('worker-a')
    const old = registerIn(registry, registration('worker-a'))
    expect([registry.remove(old), registry.remove(old), gone]).toEqual([true, false, [old]])
    expect(registry.providers(greet)).toEqual([])
    expect(() => registry.owned({ spiffeId, workerId: 'worker-a', lease: old.lease })).toThrow(AppError)
    const fresh = registerIn(registry, registration('worker-a'))
    expect(registry.remove(old)).toBe(false)
    expect(registry.providers(greet)).toEqual([fresh])
  })

  test('makes the old lease void when an instance registers again', () => {
    const { registry, gone } = setup()
    const { spiffeId } = registration('worker-a')
    const old = registerIn(registry, registration('worker-a'))
    const fresh = registerIn(registry, registration('worker-a'))
    expect(gone).toEqual([old])
    expect(registry.providers(greet)).toEqual([fresh])
    expect(() => registry.owned({ spiffeId, workerId: 'worker-a', lease: old.lease })).toThrow(AppError)
    expect(registry.remove(old)).toBe(false)
    expect(registry.providers(greet)).toEqual([fresh])
  })

  test('keeps a lease to the identity that registered', () => {
    const { registry } = setup()
    const { lease } = registerIn(registry, registration('worker-a'))
    const other = parseSpiffeId('spiffe://crank.local/worker/streaming')
    expect(() => registry.owned({ spiffeId: other, workerId: 'worker-a', lease })).toThrow(
      expect.objectContaining({ code: 'worker_not_registered' }),
    )
    expect(registry.providers(greet)).toHaveLength(1)
  })

  test('stops offering a worker after three missed heartbeats and brings it back with the next', () => {
    const { registry, pass } = setup()
    const { spiffeId, lease, workerId } = registerIn(registry, registration('worker-a'))
    pass(300)
    expect(registry.providers(greet)).toHaveLength(1)
    pass(1)
    expect(registry.providers(greet)).toHaveLength(0)
    expect(registry.counts()).toMatchObject({ live: 0, stale: 1 })
    registry.heartbeat(registry.owned({ spiffeId, workerId, lease }), 3)
    expect(registry.providers(greet)).toMatchObject([{ staleMs: undefined, load: 3 }])
  })

  test('removes a worker after twelve missed heartbeats', () => {
    const { registry, pass, gone } = setup()
    const instance = registerIn(registry, registration('worker-a'))
    pass(1200)
    expect(registry.list()).toHaveLength(1)
    pass(1)
    expect(registry.list()).toHaveLength(0)
    expect(gone).toEqual([instance])
    expect(registry.capabilities().size).toBe(0)
  })

  test('refuses one instance too many of one identity, but never a replacement', () => {
    const { registry } = setup()
    const first = registerIn(registry, registration('worker-a.0'))
    for (let i = 1; i < MAX_INSTANCES_PER_IDENTITY; i++) registerIn(registry, registration(`worker-a.${i}`))
    expect(() => registerIn(registry, registration('worker-a.more'))).toThrow(
      expect.objectContaining({ code: 'overloaded' }),
    )
    registry.remove(first)
    expect(() => registerIn(registry, registration('worker-a.0'))).not.toThrow()
    expect(() => registerIn(registry, registration('worker-a.0'))).not.toThrow()
    expect(() => registerIn(registry, registration('worker-a.more'))).toThrow()
    registry.remove(registerIn(registry, registration('worker-a.0')))
    expect(() => registerIn(registry, registration('worker-a.more'))).not.toThrow()
  })

  test('refuses one instance too many in all', () => {
    const { registry } = setup()
    for (let i = 0; i < 10_000; i++) {
      registerIn(registry, {
        ...registration(`worker-${i}`, `spiffe://crank.local/worker/w${i}`),
        capabilities: new Map(),
      })
    }
    expect(() => registerIn(registry, registration('worker-more'))).toThrow('the registry is full')
  })
})

describe('a drain', () => {
  test('takes the instances of an id out, also new ones, and lets back only those that no other drain has', () => {
    const { registry } = setup()
    const a = registerIn(registry, registration('worker-x.a'))
    const b = registerIn(registry, registration('worker-x.b'))
    const other = registerIn(registry, registration('worker-xy'))
    expect([registry.drain('worker-x.a'), registry.drain('worker-x'), registry.drain('worker-x')]).toEqual([
      true,
      true,
      false,
    ])
    expect(registry.providers(greet)).toEqual([other])
    const late = registerIn(registry, registration('worker-x.c'))
    expect([late.isListed, registry.counts().draining]).toEqual([false, 3])
    expect([registry.undrain('worker-x.b'), registry.undrain('worker-x')]).toEqual([false, true])
    expect(new Set(registry.providers(greet))).toEqual(new Set([other, b, late]))
    expect(registry.drained()).toEqual(['worker-x.a'])
    expect([registry.undrain('worker-x.a'), a.isListed]).toEqual([true, true])
  })

  test('of a worker without heartbeats ends, but only heartbeats bring it back; and the other way round', () => {
    const { registry, pass } = setup()
    const instance = registerIn(registry, registration('worker-x'))
    registry.drain('worker-x')
    pass(301)
    registry.undrain('worker-x')
    expect([instance.isListed, registry.counts()]).toMatchObject([false, { stale: 1 }])
    registry.drain('worker-x')
    registry.heartbeat(instance, 0)
    expect([instance.isListed, registry.counts()]).toMatchObject([false, { draining: 1 }])
    registry.undrain('worker-x')
    expect([instance.isListed, registry.counts()]).toMatchObject([true, { live: 1 }])
  })
})

describe('an instance that lost its id', () => {
  const at = (port: number) => ({ ...registration('worker-x'), origin: `https://127.0.0.1:${port}` })

  test('is known while the one that took it, or a later one, is registered', () => {
    const { registry } = setup()
    registerIn(registry, at(1))
    expect([registry.replacerOf(at(1)), registry.replacerOf(at(2))]).toEqual([undefined, undefined])
    const second = registerIn(registry, at(2))
    expect([registry.replacerOf(at(1)), registry.replacerOf(at(2))]).toEqual([second, undefined])
    const third = registerIn(registry, at(3))
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([third, third, undefined])
    // The one that took it registers again, as after a restart.
    const again = registerIn(registry, at(3))
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([again, again, undefined])
    registry.remove(again)
    expect([1, 2, 3].map((port) => registry.replacerOf(at(port)))).toEqual([undefined, undefined, undefined])
  })
})
