// How policy files found on disk come into force: the engine prepares them, the change is recorded, and they are swapped in
// one step.
import { join } from 'node:path'
import type { EngineHost, InForce } from '../../policy/engine/engine-kind.ts'
import { OpaBehindError } from '../../policy/engine/sidecar.ts'
import { PolicyFilesError, withBlocked, type PolicyFiles } from '../../policy/data/policy-files.ts'
import type { BlockFollow } from './block-follow.ts'
import type { PolicyLog } from './guard.ts'
import { deltaOf } from './policy-delta.ts'
import type { PolicyFolder } from './policy-folder.ts'
import type { Transition } from './transition.ts'

type AdoptionOptions = {
  /** The files in force at the start. */
  readonly folder: PolicyFolder
  readonly host: EngineHost
  readonly transition: Transition
  readonly blocks: BlockFollow
  readonly log: PolicyLog
  /** Waits for the other processes of this controller; undefined: there are none. */
  readonly turn: ((revision: string) => Promise<void>) | undefined
  /** Whether files that were refused before are tried again. */
  readonly isRetry: () => boolean
  /** Schedules a self-check of what is in force. */
  readonly recheck: () => void
}

export type Adoption = {
  /** Brings policy files into force. Rejects when that fails: the previous files stay in force. */
  readonly adopt: (next: PolicyFolder) => Promise<void>
  /** The files in force, as they were read. */
  readonly folder: () => PolicyFolder
}

export function createAdoption(options: AdoptionOptions): Adoption {
  const { host, transition, blocks, log, turn, isRetry, recheck } = options
  let { folder } = options

  const prepare = async (next: PolicyFolder, current: InForce) => {
    try {
      return await blocks.during(async () => {
        const prepared = await host.prepare(next.files, current, next.built)
        await turn?.(next.files.revision)
        return prepared
      })
    } catch (cause: unknown) {
      // The sidecar check measures how long OPA has been behind; start it now.
      if (cause instanceof OpaBehindError && !isRetry()) recheck()
      throw cause
    }
  }

  const adopt: Adoption['adopt'] = async (next) => {
    const current = transition.current()
    refuseIfFilesAreGone(folder, next)
    // The same files as in force, except for a block list that may have been taken alone meanwhile.
    if (next.files.revision === folder.files.revision) {
      await blocks.take(next.files.blocked)
      return
    }
    const { engine, files, revision } = await prepare(next, current)
    const changed = next.changed ?? deltaOf(folder, next)
    await transition.move((inForce) => ({
      next: { engine, files: withNewerBlocks(files, current, inForce), revision: revision ?? inForce.revision },
      changed,
    }))
    // Without the parts of the engine, which are large.
    const { built: _built, ...kept } = next
    folder = kept
    logDataFaults(log, next)
    recheck()
    await host.retire(current)
  }
  return { adopt, folder: () => folder }
}

/** Logs the entries of the data that have no effect. */
export function logDataFaults(log: PolicyLog, { files }: PolicyFolder): void {
  for (const fault of files.dataFaults) {
    log.warn({ event: 'policy_data_fault', ...fault }, 'an entry of the policy data has no effect')
  }
}

/** A block list that was taken while the files were prepared is newer than theirs. */
function withNewerBlocks(files: PolicyFiles, before: InForce, now: InForce): PolicyFiles {
  return now.files.blocked === before.files.blocked ? files : withBlocked(files, now.files.blocked)
}

/** @throws {PolicyFilesError} when a file that is in force has disappeared: its absence is not an instruction. */
function refuseIfFilesAreGone(before: PolicyFolder, next: PolicyFolder): void {
  const gone = [...before.hashes.keys()].filter((name) => !next.hashes.has(name))
  if (gone.length === 0) return
  const lines = gone.map((name) => {
    const wayOut = name.endsWith('.json') ? 'create it with the content {}' : 'create it with only its package line'
    return `${join(next.files.dir, name)}: the file was removed; put it back, ${wayOut}, or restart the controller`
  })
  throw new PolicyFilesError(lines.join('\n'))
}
