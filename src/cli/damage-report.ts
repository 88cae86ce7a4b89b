// Says which segments could not be read, once each, and makes that the exit code: what a command found is then not all there is.
import type { DamagedSegment, OnDamaged } from '../audit/damage.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { say } from './output.ts'

type MissingRecords = {
  readonly slot: number | null
  readonly file: string
  readonly first_seq: number
  readonly last_seq: number | null
  readonly reason: string
}

export type DamageReport = {
  readonly onDamaged: OnDamaged
  /** For JSON. */
  readonly missing: () => readonly MissingRecords[]
  /** `code`, or `incomplete` when a part could not be read. */
  readonly exit: (code: ExitCode) => ExitCode
}

export function createDamageReport(): DamageReport {
  const known = new Map<string, DamagedSegment>()
  return {
    onDamaged(damaged) {
      const key = `${damaged.slot} ${damaged.firstSeq}`
      if (known.has(key)) return
      known.set(key, damaged)
      say(sentenceOf(damaged))
    },
    missing: () =>
      [...known.values()].map(({ slot, file, firstSeq, lastSeq, reason }) => {
        return { slot, file, first_seq: firstSeq, last_seq: lastSeq, reason }
      }),
    exit: (code) => (known.size === 0 ? code : EXIT.incomplete),
  }
}

function sentenceOf({ slot, file, firstSeq, lastSeq, reason }: DamagedSegment): string {
  const records = lastSeq === null ? `records from ${firstSeq} on` : `records ${firstSeq} to ${lastSeq}`
  const where = slot === null ? '' : ` of slot ${slot}`
  return `${file} is damaged (${reason}): ${records}${where} are missing here, or some of them; crank audit verify says where; restore it from a backup`
}
