// Where the audit logs are: each process of a controller is a slot with a folder and a hash chain of its own. A chain is a list
// of segments; a segment is named after its first record, and has `.zst` behind its name once it is compressed.
import { lstatSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

/** `firstSeq`: the number of its first record. `file`: of two, the one that is not compressed. */
export type AuditSegment = { readonly firstSeq: number; readonly file: string }

/** `slot` null: a file or folder that somebody named. `place`: the slot's folder, or what was named. `segments`: oldest first. */
export type AuditChain = {
  readonly slot: number | null
  readonly place: string
  readonly segments: readonly AuditSegment[]
}

const FOLDER = 'audit'
const SLOT = /^(?:0|[1-9]\d*)$/
const SEGMENT = /^([1-9]\d{0,15})\.jsonl(\.zst)?$/
const COMPRESSED = '.zst'
const WRITERS = 0o222

/** The folder of all slots, unless CRANK_AUDIT_DIR names another. */
export function auditDirIn(stateDir: string): string {
  return join(stateDir, FOLDER)
}

/** The folder of a slot. One process is slot 0. */
export function slotFolder(auditDir: string, slot: number): string {
  return join(auditDir, String(slot))
}

export function segmentFile(folder: string, firstSeq: number): string {
  return join(folder, `${firstSeq}.jsonl`)
}

/** The name that the file has once it is compressed. */
export function compressedFile(file: string): string {
  return file + COMPRESSED
}

/** The name that a segment had before it was compressed. */
export function plainFile(file: string): string {
  return isCompressed(file) ? file.slice(0, -COMPRESSED.length) : file
}

export function isCompressed(file: string): boolean {
  return file.endsWith(COMPRESSED)
}

/** Whether it may still be written: a complete segment is read-only. */
export function isWritable({ mode }: { readonly mode: number }): boolean {
  return (mode & WRITERS) !== 0
}

/** The audit log of older versions, which knew no slots; the next start makes it the first segment of slot 0. */
export function oldAuditFile(stateDir: string): string {
  return join(stateDir, 'audit.jsonl')
}

/**
 * The segments in the folder of a slot, oldest first; none when there is no folder. What is neither a file nor a link is none.
 * Throws the file system's error.
 */
export function segmentsIn(folder: string): AuditSegment[] {
  const found = new Map<number, string>()
  for (const { name, isFolderOrDevice } of entriesIn(folder)) {
    const [, first, compressed] = isFolderOrDevice ? [] : (SEGMENT.exec(name) ?? [])
    if (first === undefined || (compressed !== undefined && found.has(Number(first)))) continue
    found.set(Number(first), join(folder, name))
  }
  return [...found].map(([firstSeq, file]) => ({ firstSeq, file })).sort((a, b) => a.firstSeq - b.firstSeq)
}

/**
 * The chains that there are, by slot. The file of an older version in `stateDir` is that of slot 0 until a start has moved it.
 * Throws the file system's error when a folder cannot be read.
 */
export function auditChainsIn(auditDir: string, stateDir?: string): AuditChain[] {
  const chains = slotsIn(auditDir)
    .map((slot) => chainOf(slot, slotFolder(auditDir, slot)))
    .filter(({ segments }) => segments.length > 0)
  const old = stateDir === undefined ? undefined : oldAuditFile(stateDir)
  if (old === undefined || chains[0]?.slot === 0 || !isThere(old)) return chains
  return [{ slot: 0, place: old, segments: [{ firstSeq: 1, file: old }] }, ...chains]
}

/** The chains at a path that somebody named: a segment or a copy of one, the folder of a slot, or that of all slots. */
export function chainsAt(path: string): AuditChain[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    const segments = segmentsIn(path)
    return segments.length > 0 ? [{ slot: null, place: path, segments }] : auditChainsIn(path)
  }
  return [{ slot: null, place: path, segments: [{ firstSeq: firstSeqIn(path) ?? 1, file: path }] }]
}

/** The number in the name of a segment; undefined for any other name. */
export function firstSeqIn(file: string): number | undefined {
  const [, first] = SEGMENT.exec(basename(file)) ?? []
  return first === undefined ? undefined : Number(first)
}

export function filesOf({ segments }: AuditChain): string[] {
  return segments.map(({ file }) => file)
}

function chainOf(slot: number, folder: string): AuditChain {
  return { slot, place: folder, segments: segmentsIn(folder) }
}

/** The slots that have a folder. */
export function slotsIn(auditDir: string): number[] {
  const names = entriesIn(auditDir).flatMap(({ name }) => (SLOT.test(name) ? [name] : []))
  return names.map(Number).sort((a, b) => a - b)
}

type Entry = { readonly name: string; readonly isFolderOrDevice: boolean }

/** Sorted: a plain segment before its compressed form. */
function entriesIn(folder: string): Entry[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, isFolderOrDevice: !entry.isFile() && !entry.isSymbolicLink() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}

function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined
}
