// What `crank audit verify` says to people.
import { basename } from 'node:path'
import type { Verification } from '../audit/verify.ts'
import type { Proven, ReportedFault } from './audit-proof.ts'
import { paint, say, writeLine } from './output.ts'
import { UNKNOWN_OUTCOME } from './unknown-outcome.ts'

/**
 * `slot` null: files that somebody named. `isWhole`: checked from its beginning. `checkpoint`: the newest one that the log
 * fits. `ownCheckpointBehind`: how many records the log's own checkpoint is behind it; null without one.
 */
export type Verified = Omit<Verification, 'faults' | 'firstBad' | 'provenUpTo' | 'signingKeys'> & {
  readonly slot: number | null
  readonly file: string
  readonly isWhole: boolean
  readonly segments: number
  readonly firstBad?: ReportedFault
  readonly faults: readonly ReportedFault[]
  readonly checkpoint: Proven | null
  /** How many of those that were given are of records before the first one that was read. */
  readonly checkpointsNotCompared: number
  readonly ownCheckpointBehind: number | null
}

/** A controller makes a checkpoint every 1,000 records; two batches may be on their way. */
const MAX_BEHIND = 2000

/** The fault of a log in one sentence; undefined without a fault. */
export function describeFault(log: Pick<Verified, 'firstBad' | 'tornTailBytes'>): string | undefined {
  const { firstBad, tornTailBytes } = log
  if (firstBad !== undefined && firstBad.line > 0) {
    return `record ${firstBad.seq} (line ${firstBad.line}) is invalid: ${firstBad.message}`
  }
  if (firstBad !== undefined) return firstBad.message
  return tornTailBytes > 0 ? `the last line is torn (${tornTailBytes} bytes without an end)` : undefined
}

/** `slot`: before each line, where there are several. */
export function printVerified(log: Verified, slot: string): void {
  const { file, records, head, withoutOutcome, firstBad, tornTailBytes } = log
  const fault = describeFault(log)
  if (fault === undefined) {
    writeLine(`${paint('green', '√')} ${slot}${file}: ${records} records, chain intact, head ${head?.hash ?? 'none'}`)
    if (withoutOutcome > 0) say(`${slot}calls without an outcome: ${withoutOutcome}; ${UNKNOWN_OUTCOME}`)
    sayWhereItBegins(log, slot)
    if (log.checkpointsNotCompared > 0)
      say(`${slot}given checkpoints of records before those: ${log.checkpointsNotCompared}, not compared`)
    sayWhatIsProven(log, slot)
    return
  }
  writeLine(`${paint('red', '×')} ${slot}${file}: ${fault}; ${records} records before it are intact`)
  if (log.faultCount > 1 || log.segments > 1) printFaults(log)
  if (firstBad === undefined && tornTailBytes > 0) say(`${slot}a controller that starts on this file repairs it`)
  else say(`${slot}keep the files unchanged and compare them with a copy`)
}

function printFaults({ faults, faultCount }: Verified): void {
  for (const fault of faults) writeLine(`  ${where(fault)}${fault.message}`)
  if (faultCount > faults.length) writeLine(`  and ${faultCount - faults.length} more faults`)
}

function where({ file, line, seq }: ReportedFault): string {
  if (line === 0) return file === '' ? '' : `${basename(file)}: `
  return `${basename(file)} line ${line}, record ${seq}: `
}

function sayWhereItBegins(log: Verified, slot: string): void {
  if (log.continues === undefined) return
  const { seq, hash } = log.continues
  if (log.slot !== null || log.isWhole) {
    const why = log.isWhole ? 'removed; their removal is on record' : 'not checked: --since begins after them'
    say(`${slot}the records up to ${seq} were ${why}`)
    return
  }
  say(`${slot}it continues another file, whose last record is ${seq} with hash ${hash}`)
  say('to check both: crank audit verify <file before> <this file>')
}

function sayWhatIsProven({ checkpoint, head, ownCheckpointBehind }: Verified, slot: string): void {
  if (checkpoint === null) {
    say(
      `${slot}no checkpoint to compare with: records that were cut off at the end, or a history that was rewritten, do not show`,
    )
    return
  }
  const { seq, time, source, isOwn, key, trust } = checkpoint
  const signed = key === null ? 'which is not signed by a key that is known' : `signed by ${key}`
  const rest = (head?.seq ?? 0) - seq
  const uncovered = rest > 0 ? `; nothing proves that the ${rest} records after it are the last` : ''
  say(`${slot}the records up to ${seq} are as in the checkpoint of ${time} (${source}), ${signed}${uncovered}`)
  if (trust === 'named')
    say(`${slot}the log itself names that key: to prove it, give the key that you know with --public-key`)
  if (isOwn)
    say(
      `${slot}who can change the log can change its own checkpoint: keep copies elsewhere, and give one with --checkpoint`,
    )
  if (ownCheckpointBehind !== null && ownCheckpointBehind > MAX_BEHIND) {
    const cause = 'it could not be written, or an older one was put in its place'
    say(`${slot}the log's own checkpoint is ${ownCheckpointBehind} records behind: ${cause}`)
  }
}
