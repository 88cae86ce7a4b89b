// The rows of the bench: one server process each. All run at once, so that each round can measure all of them.

export type RowName =
  | 'forward'
  | 'bare'
  | 'full'
  | 'traced'
  | 'write'
  | 'write-traced'
  | 'full-cached'
  | 'sidecar'
  | 'sidecar-cached'
  | 'rotating'
  | 'quiet'
  | 'keyed'
  | 'pair'
  | 'nginx'
  | 'nginx-opa'
  | 'nginx-opa-bac95cf'

/** Which Rego a peer's OPA has: that of policies/, or that of an older commit (peers/policy-bac95cf). */
export type PeerPolicy = 'current' | 'bac95cf'

/** What serves the calls of a row; left out: a controller with the settings in `env`. */
type Server =
  | { readonly server?: undefined; readonly env: NodeJS.ProcessEnv }
  | { readonly server: 'forward' | 'bare'; readonly env?: undefined }
  | { readonly server: 'nginx'; readonly env?: undefined; readonly policy?: PeerPolicy }

export type Row = Server & {
  readonly name: RowName
  readonly what: string
  /** What the row needs besides the worker. */
  readonly needs: { readonly opa?: true; readonly collector?: true }
  /** Each call has an idempotency key of its own. */
  readonly keyed?: true
  /** Measured also at fixed rates, in short slices (measure-rates.ts). */
  readonly rates?: true
}

/** What is measured besides the rows, in the order in which the usage names it. */
export const PARTS = [
  'policy',
  // The rows with `rates`: saturated, at 1,000 and at 200 calls per second.
  'rates',
  // Bodies of 1 MiB through the raw form, and through nginx.
  'bodies',
  // 1,000 callers with 15 capabilities each, decision cache off and on.
  'cached',
  // Event streams through the controller and directly.
  'events',
  // Policy evaluation with more and more manifests.
  'manifests',
  // Refused requests, each of a shape that is cheap to send.
  'refusals',
  // The stall of the event loop when a large policy folder changes.
  'reload',
  // The rows of trace-rows.ts, with a real Jaeger.
  'traces',
  // One call of each capability of the bundled workers.
  'workers',
  // A capability with 10, 1,000 and 10,000 providers.
  'providers',
  // A controller that rotates its audit log all the time, beside one that does not.
  'rotation',
  // A controller that nobody calls.
  'idle',
  // A controller that gets more than it can do. Runs only when it is named: its load would disturb nothing, but takes minutes.
  'overload',
] as const
export type Part = (typeof PARTS)[number]

/** Whether a row or a part is measured. */
export type Wants = (name: RowName | Part) => boolean

export const ROWS: readonly Row[] = [
  { name: 'forward', what: 'the same server, only forwarding', needs: {}, server: 'forward', rates: true },
  {
    name: 'bare',
    what: 'Fastify and undici alone: forwards the bytes of the body, with no code of Crank and no JSON parsed',
    needs: {},
    server: 'bare',
  },
  {
    name: 'full',
    what: 'the whole pipeline with default settings: embedded engine, fsync, no export',
    needs: {},
    env: {},
    rates: true,
  },
  { name: 'traced', what: 'full, spans exported by OTLP/gRPC', needs: { collector: true }, env: {}, rates: true },
  { name: 'write', what: 'full, audit without fsync', needs: {}, env: { CRANK_AUDIT_SYNC: 'write' } },
  {
    name: 'write-traced',
    what: 'full, audit without fsync, spans exported',
    needs: { collector: true },
    env: { CRANK_AUDIT_SYNC: 'write' },
  },
  { name: 'sidecar', what: 'full, decided by a real OPA over TCP', needs: { opa: true }, env: {} },
  {
    name: 'keyed',
    what: 'full, each call with an idempotency key of its own: stored on disk before and after the worker',
    needs: {},
    env: {},
    keyed: true,
  },
  { name: 'pair', what: 'full, served by two processes', needs: {}, env: { CRANK_PROCESSES: '2' } },
  { name: 'quiet', what: 'full, without a log line per decision', needs: {}, env: { LOG_LEVEL: 'warn' } },
  {
    name: 'nginx',
    what: 'peer: nginx as a proxy with mTLS on both sides; no policy, no log',
    needs: {},
    server: 'nginx',
  },
  {
    name: 'nginx-opa',
    what: 'peer: nginx + njs + a real OPA with the current Rego; SPIFFE ID, decision id checked, access log, mTLS',
    needs: {},
    server: 'nginx',
    policy: 'current',
  },
  {
    name: 'nginx-opa-bac95cf',
    what: 'the same peer with the Rego of commit bac95cf',
    needs: {},
    server: 'nginx',
    policy: 'bac95cf',
  },
]
