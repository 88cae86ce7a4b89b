// Checks whole audit logs: every hash, every link, every number, and records that are known from elsewhere.
import { FORMATS, otherFormat } from '../core/formats.ts'
import { ChainCheck, type Fault } from './chain-check.ts'
import { newerFormatOf, openRecord, type Head, type LineFault } from './chain.ts'
import { eachLine } from './line-bytes.ts'
import { Proof, type KnownRecord } from './proof.ts'
import { openBytes } from './record-bytes.ts'
import type { RecordMembers } from './record-members.ts'
import { RunningCalls } from './running-calls.ts'

/**
 * `records` and `head`: up to the first fault. `withoutOutcome`: calls that the ruling let pass and whose end is not on record: they are still running, or a crash lost the last outcomes, and nobody knows how they ended.
 * `continues`: the chain begins in a file that was not checked, which should end with this record; or, of a whole log, the last
 * record that was removed. `faults`: the first 20 of `faultCount`. `provenUpTo`: the newest known record that is there.
 * `signingKeys`: the verifier keys that the log names, if any. `tornTailBytes`: of an incomplete last line; the controller repairs it at its next start.
 */
export type Verification = {
  readonly ok: boolean
  readonly records: number
  readonly withoutOutcome: number
  readonly continues?: Head
  readonly head: Head | null
  readonly firstBad?: Fault
  readonly faults: readonly Fault[]
  readonly faultCount: number
  readonly provenUpTo?: KnownRecord
  readonly signingKeys?: readonly string[]
  readonly tornTailBytes: number
}

type VerifyOptions = {
  /** The segments are all of a log: it begins with record 1, or the removal of its oldest records is on record. */
  readonly isWhole?: boolean
  /** Records that must be there. */
  readonly known?: readonly KnownRecord[]
  readonly onProgress?: (bytes: number, records: number) => void
}

/** A segment, or a file whose name says nothing about its records. */
export type AuditPart = { readonly file: string; readonly firstSeq?: number }

/**
 * Reads `files`, each of which continues the previous one. The first file may begin with `audit_segment_opened`: the controller
 * continued there when the previous file was moved away. `ok`: no fault and no torn tail. Rejects with the file system's error
 * when a file cannot be read.
 */
export async function verifyAudit(...files: readonly string[]): Promise<Verification> {
  return verifyParts(files.map((file) => ({ file })))
}

/**
 * The same for the segments of a log. A chain alone cannot show that its last records were removed, or that all of it was
 * rewritten: `known` records can.
 */
export async function verifySegments(
  segments: readonly AuditPart[],
  options: VerifyOptions = {},
): Promise<Verification> {
  return verifyParts(segments, options)
}

async function verifyParts(parts: readonly AuditPart[], options: VerifyOptions = {}): Promise<Verification> {
  const { isWhole = false, known = [], onProgress } = options
  const [check, proof, calls] = [new ChainCheck(isWhole), new Proof(known), new RunningCalls()]
  const keys = new Set<string>()
  let seen = 0
  const see = (bytes: Buffer, start: number, end: number, line: number): void => {
    seen++
    const record = openBytes(bytes, start, end)
    if (record === undefined) {
      seeText(check, line, bytes.toString('latin1', start, end), { proof, calls })
      return
    }
    const { seq, prev, hash, event, membersAt } = record
    const members = (): string => bytes.toString('latin1', membersAt, end)
    check.see(line, { seq, prev, hash, event, members: () => JSON.parse(`{${members().slice(1)}`) as RecordMembers })
    proof.see(seq, hash)
    calls.see(event, members)
    if (event === 'audit_signing_key') keys.add(keyIn(JSON.parse(`{${members().slice(1)}`) as RecordMembers))
  }
  let tornTailBytes = 0
  for (const [n, { file, firstSeq }] of parts.entries()) {
    check.beginSegment(file, firstSeq)
    const torn = await eachLine(file, see, (count) => onProgress?.(count, seen)).catch(damageOf)
    if (typeof torn === 'string') check.seeDamage(torn)
    else if (torn > 0 && n < parts.length - 1) check.seeTorn(torn)
    else tornTailBytes = torn
  }
  return { ...resultOf(check, proof, calls.count, tornTailBytes), ...(keys.size > 0 && { signingKeys: [...keys] }) }
}

/** A line that is not laid out as our writer does it: it may still be a valid record. */
function seeText(
  check: ChainCheck,
  line: number,
  text: string,
  { proof, calls }: { proof: Proof; calls: RunningCalls },
): void {
  const record = openRecord(text)
  if (typeof record === 'string') {
    check.seeBad(line, record, sentenceOf(record, text), record === 'hash_mismatch' ? claimIn(text) : undefined)
    return
  }
  check.see(line, { ...record, members: () => record })
  proof.see(record.seq, record.hash)
  calls.see(record.event, () => text)
}

function resultOf(check: ChainCheck, proof: Proof, withoutOutcome: number, tornTailBytes: number): Verification {
  const { upTo, faults: contradictions } = proof.end()
  for (const fault of contradictions) check.seeProof(fault)
  const { records, intact, continues, faults, faultCount } = check.end()
  const [firstBad] = faults
  return {
    ok: faultCount === 0 && tornTailBytes === 0,
    records,
    withoutOutcome,
    ...(continues !== undefined && { continues }),
    head: intact,
    ...(firstBad !== undefined && { firstBad }),
    faults,
    faultCount,
    ...(upTo !== null && { provenUpTo: upTo }),
    tornTailBytes,
  }
}

/** As `verifierKey` has it. */
function keyIn({ key_name: name, key_id: id, public_key: key }: RecordMembers): string {
  return [name, id, key].map(String).join('+')
}

const FAULTS: Readonly<Record<Exclude<LineFault, 'newer_format'>, string>> = {
  not_json: 'the line is not JSON',
  malformed: 'the line does not have the layout of a record',
  hash_mismatch: 'the record was changed: it does not match its own hash',
}

function sentenceOf(fault: LineFault, text: string): string {
  if (fault !== 'newer_format') return FAULTS[fault]
  return `the record ${otherFormat(newerFormatOf(text), FORMATS.audit_record)}; verify it with the version that wrote it`
}

const CLAIM = /^\{"v":\d+,"seq":(\d+),"prev":"[0-9a-f]{64}","hash":"([0-9a-f]{64})"/

function claimIn(text: string): Head | undefined {
  const [, seq, hash] = CLAIM.exec(text) ?? []
  return hash === undefined ? undefined : { seq: Number(seq), hash }
}

/** What zstd says of bytes that it did not write. The file system's errors have a system call, and are passed on. */
function damageOf(cause: unknown): string {
  if (!(cause instanceof Error) || 'syscall' in cause) throw cause
  return 'code' in cause ? String(cause.code) : cause.message
}
