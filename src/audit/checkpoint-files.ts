// The checkpoints that a slot keeps in its own folder. They are a hint, not a proof: who can change the log can change them too.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCheckpoints, type Checkpoint } from './checkpoint.ts'
import { slotFolder, slotsIn } from './places.ts'

type CheckpointFiles = {
  /** The newest one, replaced at once. */
  readonly newest: string
  /** One a minute, one after another. */
  readonly history: string
  /** What `history` was before it became too large. */
  readonly older: string
}

/** `newest`: undefined without a file, or if there is no checkpoint in it. `all`: those of the history too. */
export type OwnCheckpoints = { readonly newest: Checkpoint | undefined; readonly all: readonly Checkpoint[] }

export function checkpointFiles(folder: string): CheckpointFiles {
  const history = join(folder, 'checkpoints')
  return { newest: join(folder, 'checkpoint'), history, older: `${history}.1` }
}

/** A crash can leave a part of a checkpoint in the history: it is skipped. Throws the file system's error, unless a file is missing. */
export function readOwnCheckpoints(folder: string): OwnCheckpoints {
  const { history, older } = checkpointFiles(folder)
  // The newest one first: what is written meanwhile must not look as if the log were behind it.
  const last = readNewestCheckpoint(folder)
  const all = [...checkpointsOf(older), ...checkpointsOf(history), ...(last === undefined ? [] : [last])]
  return { newest: last, all }
}

/** Undefined without a file, or if there is no checkpoint in it. Throws the file system's error, unless it is missing. */
export function readNewestCheckpoint(folder: string): Checkpoint | undefined {
  return checkpointsOf(checkpointFiles(folder).newest)[0]
}

/** The slots that have a checkpoint, also if their log is gone. */
export function slotsWithCheckpoints(auditDir: string): number[] {
  return slotsIn(auditDir).filter((slot) => existsSync(checkpointFiles(slotFolder(auditDir, slot)).newest))
}

function checkpointsOf(file: string): readonly Checkpoint[] {
  try {
    return parseCheckpoints(readFileSync(file, 'utf8')).found
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}
