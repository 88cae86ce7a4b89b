// A shipper at full pace between a chain of segments and a receiver or a stream, and what it logs.
import { onTestFinished } from 'vitest'
import type { Destination } from '../../../src/controller/audit-shipping/destination.ts'
import { createOtlpDestination } from '../../../src/controller/audit-shipping/otlp-destination.ts'
import { startShipper, type Shipper } from '../../../src/controller/audit-shipping/shipper.ts'
import { shippingTarget } from '../../../src/controller/audit-shipping/target.ts'
import type { MadeChain } from '../../fixtures/audit-segments.ts'

export const FAST = { idleMs: 5, firstRetryMs: 5, maxRetryMs: 20 }
export const FROM = { resource: { 'service.name': 'crank-controller' }, scope: { name: 'crank.audit', version: '1' } }

export type Said = { readonly event: string } & Record<string, unknown>
export type Ship = { readonly shipper: Shipper; readonly said: Said[] }

type Common = Omit<Parameters<typeof createOtlpDestination>[0], 'target' | 'from'> & { readonly folder: string }
type Chosen = Partial<Pick<Parameters<typeof startShipper>[0], 'now' | 'random' | 'pace' | 'slot' | 'durableSeq'>>

/** It ends with the test. `env`: variables of the target, without their prefix. */
export function ship(
  chain: Pick<MadeChain, 'folder'>,
  endpoint: string,
  { env = {}, ...options }: Chosen & { env?: Record<string, string> } = {},
): Ship {
  const variables = Object.entries({ ENDPOINT: endpoint, ...env }).map(([name, value]) => [
    `OTEL_EXPORTER_OTLP_LOGS_${name}`,
    value,
  ])
  const target = shippingTarget(Object.fromEntries(variables) as NodeJS.ProcessEnv)!
  return shipTo(chain, (common) => createOtlpDestination({ ...common, target, from: FROM }), options)
}

/** The same to any destination. */
export function shipTo(
  { folder }: Pick<MadeChain, 'folder'>,
  destinationOf: (common: Common) => Destination,
  options: Chosen = {},
): Ship {
  const said: Said[] = []
  const note = (fields: object): void => void said.push(fields as Said)
  const log = { info: note, warn: note }
  const common = { folder, slot: 0, now: Date.now, random: () => 0.5, log, pace: FAST, ...options }
  const shipper = startShipper({ ...common, destination: destinationOf(common) })
  onTestFinished(() => shipper.close())
  return { shipper, said }
}
