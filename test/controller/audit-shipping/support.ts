// A shipper at full pace between a chain of segments and a receiver, and what it logs.
import { onTestFinished } from 'vitest'
import { startShipper, type Shipper, type ShipperOptions } from '../../../src/controller/audit-shipping/shipper.ts'
import { shippingTarget } from '../../../src/controller/audit-shipping/target.ts'
import type { MadeChain } from '../../fixtures/audit-segments.ts'

export const FAST = { idleMs: 5, firstRetryMs: 5, maxRetryMs: 20 }
export const FROM = { resource: { 'service.name': 'crank-controller' }, scope: { name: 'crank.audit', version: '1' } }

export type Said = { readonly event: string } & Record<string, unknown>
export type Ship = { readonly shipper: Shipper; readonly said: Said[] }

/** It ends with the test. `env`: variables of the target, without their prefix. */
export function ship(
  chain: Pick<MadeChain, 'folder'>,
  endpoint: string,
  { env = {}, ...options }: Partial<ShipperOptions> & { env?: Record<string, string> } = {},
): Ship {
  const said: Said[] = []
  const note = (fields: object): void => void said.push(fields as Said)
  const variables = Object.entries({ ENDPOINT: endpoint, ...env }).map(([name, value]) => [
    `OTEL_EXPORTER_OTLP_LOGS_${name}`,
    value,
  ])
  const shipper = startShipper({
    folder: chain.folder,
    slot: 0,
    target: shippingTarget(Object.fromEntries(variables) as NodeJS.ProcessEnv)!,
    from: FROM,
    now: Date.now,
    random: () => 0.5,
    log: { info: note, warn: note },
    pace: FAST,
    ...options,
  })
  onTestFinished(() => shipper.close())
  return { shipper, said }
}
