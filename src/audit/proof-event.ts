// The events that a proof of the whole log needs: what was removed from it, and who signs its checkpoints.

/** `age`, `size`: beyond CRANK_AUDIT_KEEP. `disk_full`: as CRANK_AUDIT_FULL=drop_unshipped permits. */
export type RemovalReason = 'age' | 'size' | 'disk_full'

export type ProofEvent = { readonly timestamp: string } & (
  | {
      /** The oldest records were removed. `last_hash`: that of `last_seq`, which the first record that is left continues. */
      readonly event: 'audit_segments_removed'
      readonly first_seq: number
      readonly last_seq: number
      readonly last_hash: string
      readonly reason: RemovalReason
    }
  | {
      /** The key that signs checkpoints from here on. The three members, joined with "+", are its verifier key. */
      readonly event: 'audit_signing_key'
      readonly key_name: string
      readonly key_id: string
      readonly public_key: string
    }
)
