// How a set of policy files that was found on disk comes into force: prepared by the engine, recorded, swapped in one step.
import { join } from 'node:path'
import type { EngineHost, InForce } from '../../policy/engine/engine-kind.ts'
import { OpaBehindError } from '../../policy/engine/sidecar.ts'
import { PolicyFilesError, type PolicyFiles } from '../../policy/data/policy-files.ts'
import type { BlockFollow } from './block-follow.ts'
import type { PolicyLog } from './guard.ts'
import { deltaOf } from './policy-delta.ts'
import type { PolicyFolder } from './policy-folder.ts'
import type { Transition } from './transition.ts'

type AdoptionOptions = {
  /** The set in force at the start. */
  readonly folder: PolicyFolder
  readonly host: EngineHost
  readonly transition: Transition
  readonly blocks: BlockFollow
  readonly log: PolicyLog
  /** A set was refused already, and is tried again. */
  readonly isRetry: () => boolean
  /** Runs the self-check of what is in force soon. */
  readonly recheck: () => void
}

/** Brings a set into force. Rejects when that cannot be: the set before stays. */
export type Adopt = (next: PolicyFolder) => Promise<void>

export function createAdoption(options: AdoptionOptions): Adopt {
  const { host, transition, blocks, log, isRetry, recheck } = options
  let { folder } = options

  const prepare = async (next: PolicyFolder, current: InForce) => {
    try {
      return await blocks.during(() => host.prepare(next.files, current))
    } catch (cause: unknown) {
      // How long it has been behind is measured by the looks at what it has.
      if (cause instanceof OpaBehindError && !isRetry()) recheck()
      throw cause
    }
  }

  return async (next) => {
    const current = transition.current()
    refuseIfFilesAreGone(folder, next)
    // Back at what is in force already, but for a block list that came alone meanwhile.
    if (next.files.revision === folder.files.revision) {
      await blocks.take(next.files.blocked)
      return
    }
    const { engine, files, revision } = await prepare(next, current)
    const changed = deltaOf(folder, next)
    await transition.move((inForce) => ({
      next: { engine, files: withNewerBlocks(files, current, inForce), revision: revision ?? inForce.revision },
      changed,
    }))
    folder = next
    logDataFaults(log, next)
    recheck()
    await host.retire(current)
  }
}

/** Logs the entries of the data that have no effect. */
export function logDataFaults(log: PolicyLog, { files }: PolicyFolder): void {
  for (const fault of files.dataFaults) {
    log.warn({ event: 'policy_data_fault', ...fault }, 'entry of the policy data without effect')
  }
}

/** A block list that came while the set was prepared is newer than the set's. */
function withNewerBlocks(files: PolicyFiles, before: InForce, now: InForce): PolicyFiles {
  return now.files.blocked === before.files.blocked ? files : { ...files, blocked: now.files.blocked }
}

/** @throws {PolicyFilesError} when a file of the set in force is gone: absence is no order. */
function refuseIfFilesAreGone(before: PolicyFolder, next: PolicyFolder): void {
  const gone = [...before.hashes.keys()].filter((name) => !next.hashes.has(name))
  if (gone.length === 0) return
  const lines = gone.map((name) => {
    const wayOut = name.endsWith('.json') ? 'leave {} in it' : 'leave its package in it'
    return `${join(next.files.dir, name)}: it was there and is gone; put it back, ${wayOut}, or restart the controller`
  })
  throw new PolicyFilesError(lines.join('\n'))
}
