// The settings of the store that several controllers share: NATS JetStream (ADR 0076).
import Type, { type Static } from 'typebox'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'
import { optionalText, readSetting, readSpiffeId } from '../settings.ts'

const DEFAULT_REPLICAS = 3

/** The fields of the schema. */
export const natsSettings = {
  CRANK_NATS_URL: optionalText({
    description:
      'NATS servers with JetStream that the controllers of one mesh share, comma-separated. The connection uses the SVID of this process. Unset: one controller, nothing is shared.',
    allowed: 'tls://host:port, separated by commas; nats://host:port on this machine only',
  }),
  CRANK_NATS_ID: optionalText({
    description: 'SPIFFE ID that every NATS server must present. Unset: `spiffe://<trust domain>/nats`.',
    allowed: 'a SPIFFE ID',
  }),
  CRANK_NATS_REPLICAS: Type.Integer({
    minimum: 1,
    maximum: 5,
    default: DEFAULT_REPLICAS,
    description:
      'On how many NATS servers the mesh keeps each thing, when it makes its buckets. 3 survives the loss of one; 1 is for a single server.',
  }),
}

type NatsValues = Static<Type.TObject<typeof natsSettings>>

/** Where the shared store is, and whom to expect there. */
export type NatsTarget = {
  /** `host:port` of each. */
  readonly servers: readonly string[]
  /** False: plain text, which is allowed on this machine only. */
  readonly isTls: boolean
  readonly id: SpiffeId
  readonly replicas: number
}

const DEFAULT_PORT = '4222'

/** Undefined: nothing is shared, or there are faults. */
export function parseNatsSettings(
  values: Partial<NatsValues>,
  trustDomain: TrustDomain,
  faults: string[],
): NatsTarget | undefined {
  const servers = readSetting('CRANK_NATS_URL', values.CRANK_NATS_URL, parseServers, faults)
  const id = readSetting('CRANK_NATS_ID', values.CRANK_NATS_ID, readSpiffeId, faults)
  if (servers === undefined) return undefined
  return {
    ...servers,
    id: id ?? parseSpiffeId(`spiffe://${trustDomain}/nats`),
    replicas: values.CRANK_NATS_REPLICAS ?? DEFAULT_REPLICAS,
  }
}

function parseServers(text: string): Pick<NatsTarget, 'servers' | 'isTls'> {
  const urls = text.split(',').map((one) => parseServer(one.trim()))
  const schemes = new Set(urls.map(({ protocol }) => protocol))
  if (schemes.size > 1) throw new Error('mixes tls:// and nats://; use tls:// for all of them')
  const isTls = schemes.has('tls:')
  const remote = urls.find(({ hostname }) => !isThisMachine(hostname))
  if (!isTls && remote !== undefined) {
    throw new Error(`nats:// is not encrypted and is allowed on this machine only; use tls:// for ${remote.host}`)
  }
  return { servers: urls.map(({ hostname, port }) => `${hostname}:${port === '' ? DEFAULT_PORT : port}`), isTls }
}

function parseServer(text: string): URL {
  const shape = 'must be URLs such as tls://nats-1.internal:4222, separated by commas'
  const url = URL.parse(text)
  if (url === null || !/^(tls|nats):$/.test(url.protocol) || url.hostname === '') throw new Error(shape)
  if (url.username !== '' || url.password !== '') {
    throw new Error('must not hold a user or a password: the connection uses the SVID of this process')
  }
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '') throw new Error(shape)
  return url
}

function isThisMachine(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}
