// The Policy dashboard: decisions, denials and their reasons, shadow mode, exceptions, the engine and its changes.
import { dashboard } from './dashboard.ts'
import { decisionsRow, denialsRow } from './policy-denials.ts'
import { changesRow, evaluationRow, stateRow } from './policy-state.ts'
import { candidateRow, exceptionsRow, shadowRow } from './policy-transitions.ts'

export const policy = dashboard({
  uid: 'crank-policy',
  title: 'Crank: policy',
  description: 'Which calls were allowed or denied, why, and by which policy.',
  rows: [stateRow, decisionsRow, denialsRow, shadowRow, exceptionsRow, evaluationRow, changesRow, candidateRow],
})
