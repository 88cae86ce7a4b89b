// The rows of the bench: one server process each. All run at once, so that each round can measure all of them.

export type RowName = 'forward' | 'full' | 'traced' | 'write' | 'write-traced' | 'sidecar' | 'quiet' | 'keyed'

export type Row = {
  readonly name: RowName
  readonly what: string
  /** What the row needs besides the worker. */
  readonly needs: { readonly opa?: true; readonly collector?: true }
  /** Environment variables of its controller; undefined: not a controller. */
  readonly env: NodeJS.ProcessEnv | undefined
  /** Each call has an idempotency key of its own. */
  readonly keyed?: true
}

export const POLICY = 'policy'
/** The rows of trace-rows.ts, with a real Jaeger. */
export const TRACES = 'traces'
/** Refused requests, each of a shape that is cheap to send. */
export const REFUSALS = 'refusals'
/** One call of each capability of the bundled workers. */
export const WORKERS = 'workers'

/** The stall of the event loop when a large policy folder changes. */
export const RELOAD = 'reload'

/** A controller that gets more than it can do. Runs only when it is named: its load would disturb nothing, but takes minutes. */
export const OVERLOAD = 'overload'

export const ROWS: readonly Row[] = [
  { name: 'forward', what: 'the same server, only forwarding', needs: {}, env: undefined },
  {
    name: 'full',
    what: 'the whole pipeline with default settings: embedded engine, fsync, no export',
    needs: {},
    env: {},
  },
  { name: 'traced', what: 'full, spans exported by OTLP/gRPC', needs: { collector: true }, env: {} },
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
  { name: 'quiet', what: 'full, without a log line per decision', needs: {}, env: { LOG_LEVEL: 'warn' } },
]
