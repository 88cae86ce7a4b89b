// What `crank audit verify` checks: the log of every slot, or files that somebody names.
import { basename, dirname } from 'node:path'
import { readOwnCheckpoints, slotsWithCheckpoints, type OwnCheckpoints } from '../audit/checkpoint-files.ts'
import { firstRecordOf } from '../audit/outlook.ts'
import { chainsAt, firstSeqIn, slotFolder, type AuditChain } from '../audit/places.ts'
import type { AuditPart } from '../audit/verify.ts'
import { auditLogsIn, noAuditLog, unreadable, type AuditOptions } from './audit-config.ts'
import { environment } from './environment.ts'
import { parseSince } from './option-values.ts'

/**
 * `slot` null: files that somebody named; `checkpointSlot` is then that of their folder, if that is the one of a slot. `isWhole`: the
 * parts are all segments of a log. `folder`: where the log's own checkpoints are.
 */
export type Log = {
  readonly slot: number | null
  readonly checkpointSlot: number | null
  readonly place: string
  readonly parts: readonly AuditPart[]
  readonly isWhole: boolean
  readonly folder: string | undefined
}

/**
 * The log of every slot, also of one whose records are gone: `slots` are those that must be there, and the checkpoints in a
 * folder say the same of its slot. @throws {CliError} `usage` when there is none
 */
export function logsToVerify(files: readonly string[], options: AuditOptions, slots: readonly number[]): Log[] {
  const [only] = files
  if (files.length === 1 && only !== undefined) return logsAt(only)
  if (files.length > 0) return [namedLog(files)]
  if (options.auditFile !== undefined) return logsAt(options.auditFile)
  const { chains, dir, name } = auditLogsIn(options, environment())
  const logs = chains.map(logOf)
  for (const slot of new Set([...slots, ...slotsWithCheckpoints(dir)])) {
    const place = slotFolder(dir, slot)
    if (logs.every((log) => log.slot !== slot)) logs.push(logOf({ slot, place, segments: [] }))
  }
  if (logs.length === 0) throw noAuditLog(name)
  return logs.sort((a, b) => (a.slot ?? 0) - (b.slot ?? 0))
}

export function ownCheckpoints({ folder }: Log): OwnCheckpoints | undefined {
  try {
    return folder === undefined ? undefined : readOwnCheckpoints(folder)
  } catch (cause: unknown) {
    throw unreadable(folder ?? '', cause)
  }
}

/** The log from the segment on that has the record `since`, a number, or the first one since then. */
export async function partsSince(log: Log, since: string | undefined, nowMs: number): Promise<Log> {
  if (since === undefined) return log
  const isNumber = /^\d+$/.test(since)
  const from = isNumber ? Number(since) : parseSince(since, nowMs)
  let at = log.parts.length - 1
  while (at > 0 && !(await beginsBefore(log.parts[at], from, isNumber))) at--
  return at <= 0 ? log : { ...log, parts: log.parts.slice(at), isWhole: false }
}

/** A segment whose first record cannot be read does not say when it begins: the check begins with one that does. */
async function beginsBefore(part: AuditPart | undefined, from: number, isNumber: boolean): Promise<boolean> {
  if (part === undefined) return true
  if (isNumber && part.firstSeq !== undefined) return part.firstSeq <= from
  const record = await firstRecordOf(part.file)
  if (record === undefined) return false
  return isNumber ? record.seq <= from : Date.parse(record.timestamp) <= from - CLOCK_SPARE_MS
}

/** A record's time is that of its call's beginning, and the clock may have been set. */
const CLOCK_SPARE_MS = 60_000

export function logOf({ slot, place, segments }: AuditChain): Log {
  // The file of an older version is not in a folder of its own.
  const isFile = segments.some(({ file }) => file === place)
  return { slot, checkpointSlot: slot, place, parts: segments, isWhole: true, folder: isFile ? undefined : place }
}

/** A file, or the folder of a slot or of all slots. */
function logsAt(path: string): Log[] {
  const chains = chainsAt(path)
  if (chains.length === 0) throw noAuditLog(path)
  const [first] = chains
  if (first?.segments[0]?.file === path) return [namedLog([path])]
  return chains.map((chain) => ({ ...logOf(chain), checkpointSlot: chain.slot ?? slotOf(chain.segments[0]?.file) }))
}

function namedLog(files: readonly string[]): Log {
  const parts = inOrder(files).map((file) => ({ file }))
  return {
    slot: null,
    checkpointSlot: slotOf(files[0]),
    place: files.join(' + '),
    parts,
    isWhole: false,
    folder: undefined,
  }
}

/**
 * Segments of one folder by the numbers in their names: a shell lists `1001.jsonl` before `2.jsonl`. Any other files are in the order
 * in which they were named.
 */
function inOrder(files: readonly string[]): readonly string[] {
  const seqs = new Map(files.map((file) => [file, firstSeqIn(file)]))
  const isOneFolder = new Set(files.map((file) => dirname(file))).size === 1
  if (!isOneFolder || [...seqs.values()].includes(undefined)) return files
  return files.toSorted((a, b) => (seqs.get(a) ?? 0) - (seqs.get(b) ?? 0))
}

/** Only of a file that is in its place: any other folder may have a number as its name. */
function slotOf(file = ''): number | null {
  const folder = dirname(file)
  const isSlot = basename(dirname(folder)) === 'audit' && /^(?:0|[1-9]\d*)$/.test(basename(folder))
  return isSlot ? Number(basename(folder)) : null
}
