// The numbers of the formats that outlive a process, or that two processes of different versions share. Each changes only when
// what was written before can no longer be read as it is. docs/operations/upgrade.md has the rule: this version reads its own
// number and the one before, and refuses a higher one.

export const FORMATS = {
  /** A record of the audit log, `v`. */
  audit_record: 1,
  /** The index beside an audit segment: made again when it has another number. */
  audit_index: 1,
  /** `<CRANK_STATE_DIR>/registry.json`, `v`. */
  registry: 1,
  /** The store of idempotency keys. */
  idempotency_store: 1,
  /** The value of `x-crank-chain`. */
  chain_token: 1,
  /** The entry points of the policy, their input and their result. */
  policy_contract: 1,
  /** What workers and callers send and get (docs/worker-protocol.md). */
  worker_protocol: 1,
} as const

/** Both numbers in a sentence: the one that was found, and ours. */
export function otherFormat(found: unknown, own: number): string {
  const which = typeof found === 'number' ? `format ${found}` : 'no format number'
  return `has ${which}, and this version of crank reads format ${own}`
}
