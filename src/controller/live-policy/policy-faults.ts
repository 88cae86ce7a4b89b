// Faults of policy files that could not come into force: reported once, and noted until they are fixed.
import type { DataFault } from '../../policy/data/data-schema.ts'
import { createListeners } from '../../platform/listeners.ts'
import { PolicyFilesError } from '../../policy/data/policy-files.ts'
import type { PolicyLog } from './guard.ts'
import type { PolicyNote } from './policy-notes.ts'
import type { PolicyFault } from './policy-watch.ts'

export type PolicyFaults = {
  /** Reports that the policy on disk, or offered to the sidecar, cannot come into force. */
  readonly report: (fault: PolicyFault) => void
  /** The same for the policy folder; also noted until `folderIsFine`. */
  readonly reportFolder: (fault: PolicyFault) => void
  readonly folderIsFine: () => void
  /** The faults that prevent the newest data files from coming into force. */
  readonly refused: () => readonly DataFault[]
  readonly notes: () => readonly PolicyNote[]
  /** The returned function unsubscribes. */
  readonly onFault: (listener: (fault: PolicyFault) => void) => () => void
}

/** `revision`: of the policy in force. */
export function createPolicyFaults({ log, revision }: { log: PolicyLog; revision: () => string }): PolicyFaults {
  const listeners = createListeners<[PolicyFault]>((cause) =>
    log.error({ event: 'policy_listener_failed', detail: String(cause) }, 'a listener for policy faults failed'),
  )
  let refused: readonly DataFault[] = []
  let note: PolicyNote | undefined
  const report = (fault: PolicyFault): void => {
    if (fault.cause instanceof PolicyFilesError) refused = fault.cause.faults
    const fields = { reason: fault.message, revision: revision() }
    log.error(
      { event: 'policy_change_refused', ...fields },
      'policy change refused; the last good policy stays in force',
    )
    listeners.notify(fault)
  }
  return {
    report,
    reportFolder(fault) {
      note = { cause: 'folder', reason: `the policy folder is not in force: ${fault.message}` }
      report(fault)
    },
    folderIsFine() {
      refused = []
      note = undefined
      log.info({ event: 'policy_mended' }, 'the policy folder is in force again')
    },
    refused: () => refused,
    notes: () => (note === undefined ? [] : [note]),
    onFault: listeners.add,
  }
}
