// Starts to ship the records of a slot to one target.
import type { ReceivedSvid } from '../../platform/tls/sent-svid.ts'
import type { Destination, ShipLog } from '../audit-shipping/destination.ts'
import { createOtlpDestination } from '../audit-shipping/otlp-destination.ts'
import { PACE } from '../audit-shipping/pace.ts'
import { startShipper, type Shipper } from '../audit-shipping/shipper.ts'
import type { KeeperData, KeeperShipping } from './words.ts'

/** `svid`: the identity of the process as it is now. */
export async function shipTo(
  where: KeeperShipping,
  { folder, slot, durableSeq }: Pick<KeeperData, 'folder' | 'slot' | 'durableSeq'>,
  log: ShipLog,
  svid: () => ReceivedSvid | undefined,
): Promise<Shipper> {
  const common = { folder, slot, pace: PACE, now: Date.now, random: Math.random, log }
  const durable = new BigUint64Array(durableSeq)
  const destination = await destinationOf(where, common, svid)
  return startShipper({ ...common, destination, durableSeq: () => Number(Atomics.load(durable, 0)) })
}

type Common = Omit<Parameters<typeof createOtlpDestination>[0], 'target' | 'from'> & { readonly folder: string }

async function destinationOf(
  where: KeeperShipping,
  common: Common,
  svid: () => ReceivedSvid | undefined,
): Promise<Destination> {
  switch (where.to) {
    case 'otlp':
      return createOtlpDestination({ ...common, target: where.target, from: where.from })
    case 'nats': {
      // Loaded only where it is used: the client of NATS takes 20 MB.
      const { connectNats } = await import('../../platform/nats/connect-nats.ts')
      const { createStreamDestination } = await import('../audit-shipping/stream-destination.ts')
      const { target, host, name } = where
      const source = { current: () => svid() ?? noIdentity() }
      const connect = () => connectNats({ target, source, name })
      return createStreamDestination({ ...common, host, replicas: target.replicas, connect })
    }
    default:
      return where satisfies never
  }
}

function noIdentity(): never {
  throw new Error('the thread has no identity yet')
}
