// What is wrong with the set that should be in force and is not: reported once, noted until it is over.
import type { DataFault } from '../../policy/data/data-schema.ts'
import { createListeners } from '../../platform/listeners.ts'
import { PolicyFilesError } from '../../policy/data/policy-files.ts'
import type { PolicyLog } from './guard.ts'
import type { PolicyNote } from './policy-notes.ts'
import type { PolicyFault } from './policy-watch.ts'

export type PolicyFaults = {
  /** What is on disk, or was offered to the sidecar, is not in force. */
  readonly report: (fault: PolicyFault) => void
  /** The same about the policy folder, which is noted until `folderIsFine`. */
  readonly reportFolder: (fault: PolicyFault) => void
  readonly folderIsFine: () => void
  /** What keeps the newest data files from being in force. */
  readonly refused: () => readonly DataFault[]
  readonly notes: () => readonly PolicyNote[]
  /** The returned function unsubscribes. */
  readonly onFault: (listener: (fault: PolicyFault) => void) => () => void
}

/** `revision`: of the policy in force. */
export function createPolicyFaults({ log, revision }: { log: PolicyLog; revision: () => string }): PolicyFaults {
  const listeners = createListeners<[PolicyFault]>((cause) =>
    log.error({ event: 'policy_listener_failed', detail: String(cause) }, 'a listener to policy faults failed'),
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
