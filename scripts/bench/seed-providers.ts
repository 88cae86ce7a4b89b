// Providers of one capability for the row `providers`: all of them are the worker of the bench, each at a loopback address of
// its own, so that each needs connections of its own.
import Type from 'typebox'
import { hashOfLease } from '../../src/controller/routing/lease.ts'
import type { Registry } from '../../src/controller/routing/registry.ts'
import { isoTime } from '../../src/core/iso-time.ts'
import { parseCapability } from '../../src/core/capability.ts'
import { parseSpiffeId, type SpiffeId } from '../../src/core/spiffe-id.ts'
import { loadConfig } from '../../src/platform/env.ts'
import { HELLO } from './register.ts'

const SeedEnv = Type.Object({
  BENCH_PROVIDERS: Type.Integer({ default: 0 }),
  BENCH_WORKER_PORT: Type.Integer({ default: 0 }),
})
export const SEED_WORKER = parseSpiffeId('spiffe://crank.local/worker/hello-world')
/** Fewer than the registry allows of one identity. */
const PER_IDENTITY = 50

/** Whether this process gets seeded providers: then all have the certificate of `SEED_WORKER`, whatever they registered as. */
export function isSeeded(env: NodeJS.ProcessEnv): boolean {
  return loadConfig(SeedEnv, { env }).BENCH_PROVIDERS > 0
}

export function seedProviders(registry: Registry, env: NodeJS.ProcessEnv): void {
  const { BENCH_PROVIDERS: count, BENCH_WORKER_PORT: port } = loadConfig(SeedEnv, { env })
  const capabilities = new Map([[parseCapability(`${HELLO.verb}:${HELLO.name}`), HELLO]])
  for (let at = 0; at < count; at++) {
    const origin = `https://127.1.${at >> 8}.${at & 255}:${port}`
    const tenure = { leaseHash: hashOfLease(`seed.${at}`), registeredAt: isoTime(0) }
    registry.register({ workerId: `seed.${at}`, spiffeId: identityOf(at), origin, capabilities }, tenure)
  }
}

function identityOf(at: number): SpiffeId {
  return parseSpiffeId(`spiffe://crank.local/worker/seed-${Math.floor(at / PER_IDENTITY)}`)
}
