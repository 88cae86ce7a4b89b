// Callers.

export const ALICE = 'spiffe://crank.local/worker/alice'
export const BOB = 'spiffe://crank.local/worker/bob'
