// The registry on disk, `<CRANK_STATE_DIR>/registry.json`: one line per worker, as it registered, with the hash of its lease.
// docs/operations/process.md describes it.
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { FORMATS, otherFormat } from '../../core/formats.ts'
import { misfitOf } from '../../core/misfit.ts'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'
import { RegisterBody } from '../../core/wire.ts'
import { LEASE_HASH, type LeaseHash } from './lease.ts'
import { keyOf } from './registry.ts'

/** A worker as an earlier controller knew it. */
export type RememberedWorker = {
  readonly spiffeId: SpiffeId
  readonly leaseHash: LeaseHash
  readonly registeredAt: string
  readonly body: RegisterBody
  /** Who lost the worker id to it, as far as that is known. */
  readonly replaced?: ReadonlySet<string>
}

/** The registry has no more either. */
const MAX_WORKERS = 10_000

const Hint = Type.Object(
  {
    v: Type.Literal(FORMATS.registry),
    trust_domain: Type.String(),
    workers: Type.Array(
      Type.Object(
        {
          spiffe_id: Type.String(),
          lease_sha256: Type.String({ pattern: LEASE_HASH }),
          registered_at: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
          registration: RegisterBody,
        },
        { additionalProperties: false },
      ),
      { maxItems: MAX_WORKERS },
    ),
  },
  { additionalProperties: false },
)

/** One worker as a line of the file. */
export function hintLine({ spiffeId, leaseHash, registeredAt, body }: RememberedWorker): string {
  return JSON.stringify({
    spiffe_id: spiffeId,
    lease_sha256: leaseHash,
    registered_at: registeredAt,
    registration: body,
  })
}

/** The whole file. */
export function hintText(trustDomain: TrustDomain, lines: Iterable<string>): string {
  return `{"v":${FORMATS.registry},"trust_domain":${JSON.stringify(trustDomain)},"workers":[\n${[...lines].join(',\n')}\n]}\n`
}

/** Reads the whole file. @throws {Error} that says why it cannot be used; then none of it is. */
export function parseHint(text: string, trustDomain: TrustDomain): RememberedWorker[] {
  const value: unknown = JSON.parse(text)
  const format = (value as { v?: unknown } | null)?.v
  if (format !== FORMATS.registry) throw new Error(`it ${otherFormat(format, FORMATS.registry)}`)
  const validator = Compile(Hint)
  if (!validator.Check(value)) throw new Error(misfitOf(validator, value))
  if (value.trust_domain !== trustDomain) throw new Error('it belongs to another trust domain')
  const workers = value.workers.map((worker) => ({
    spiffeId: parseSpiffeId(worker.spiffe_id),
    leaseHash: worker.lease_sha256 as LeaseHash,
    registeredAt: worker.registered_at,
    body: worker.registration,
  }))
  const keys = new Set(workers.map(({ spiffeId, body }) => keyOf({ spiffeId, workerId: body.worker_id })))
  if (keys.size < workers.length) throw new Error('it has a worker twice')
  return workers
}
