// A segment that cannot be read to its end. Readers that help people go on behind it and say what is missing; `verifyAudit`
// reports it as a fault.
import type { AuditChain } from './places.ts'

/** `firstSeq` to `lastSeq`: the records of the segment, of which some or all cannot be read; `lastSeq` null: not known. */
export type DamagedSegment = {
  readonly slot: number | null
  readonly file: string
  readonly firstSeq: number
  readonly lastSeq: number | null
  /** The code of the error. */
  readonly reason: string
}

/** Told each time that a part of a segment cannot be read. */
export type OnDamaged = (damaged: DamagedSegment) => void

/** Of zstd, of memory for a size that a table invents, and of positions outside of the file. */
const OF_CONTENT = /^(?:ZSTD_|Z_|ERR_ZSTD_|ERR_BUFFER_|ERR_OUT_OF_RANGE$)/
/** The disk cannot read it, now or for good. */
const OF_DISK = 'EIO'

/** The code of an error that says that the content of a compressed segment is not what it was; undefined for any other. */
export function damageOfContent(cause: unknown): string | undefined {
  const { code } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  return typeof code === 'string' && OF_CONTENT.test(code) ? code : undefined
}

/** The same, also where the disk cannot read it. */
export function damageOf(cause: unknown): string | undefined {
  const isOfDisk = cause instanceof Error && (cause as NodeJS.ErrnoException).code === OF_DISK
  return isOfDisk ? OF_DISK : damageOfContent(cause)
}

/**
 * Tells `onDamaged` about a segment of the chain that could not be read. @returns false, and tells nothing, for an error that says
 * something else
 */
export function tellDamage(
  { slot, segments }: AuditChain,
  file: string,
  { cause, onDamaged }: { readonly cause: unknown; readonly onDamaged: OnDamaged | undefined },
): boolean {
  const reason = damageOf(cause)
  const at = segments.findIndex((segment) => segment.file === file)
  const segment = segments[at]
  if (reason === undefined || onDamaged === undefined || segment === undefined) return false
  const next = segments[at + 1]
  onDamaged({
    slot,
    file: pathIn(cause) ?? file,
    firstSeq: segment.firstSeq,
    lastSeq: next === undefined ? null : next.firstSeq - 1,
    reason,
  })
  return true
}

/** The name that the segment has now, if it was compressed since it was listed. */
function pathIn(cause: unknown): string | undefined {
  const { path } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  return typeof path === 'string' ? path : undefined
}
