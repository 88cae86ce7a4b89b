// The Policy dashboard: what is decided, what is denied and why, shadow mode, exceptions, the engine and its changes.
import { dashboard } from './dashboard.ts'
import { decisionsRow, denialsRow } from './policy-denials.ts'
import { changesRow, evaluationRow, stateRow } from './policy-state.ts'
import { candidateRow, exceptionsRow, shadowRow } from './policy-transitions.ts'

export const policy = dashboard({
  uid: 'crank-policy',
  title: 'Crank: policy',
  description: 'Who was allowed what, who was not and why, and the policy that said so.',
  rows: [stateRow, decisionsRow, denialsRow, shadowRow, exceptionsRow, evaluationRow, changesRow, candidateRow],
})
