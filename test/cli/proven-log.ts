// A log of several segments in the folder of a slot, with signed checkpoints, for tests of `crank audit verify`.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { GENESIS, sealRecord, type Head } from '../../src/audit/chain.ts'
import { checkpointFiles } from '../../src/audit/checkpoint-files.ts'
import { checkpointOrigin, checkpointText } from '../../src/audit/checkpoint.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { segmentFile, slotFolder } from '../../src/audit/places.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { noteSigner, type NoteSigner } from '../../src/audit/signed-note.ts'
import { outcome } from '../controller/audit/support.ts'

export const KEY_NAME = 'crank.local/controller/audit'
export const TIME = '2026-12-01T10:00:00.000Z'

export function newKey(name = KEY_NAME): NoteSigner & { readonly privateKey: KeyObject } {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { ...noteSigner(name, privateKey), privateKey }
}

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'crank-proof-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** `heads[n]`: the head after record n. `files`: oldest first. */
export type MadeLog = { readonly folder: string; readonly files: readonly string[]; readonly heads: readonly Head[] }

/**
 * Writes segments of so many records, each but the first of which begins with `audit_segment_opened`.
 * @param mark is in every record: logs with another mark have other hashes
 */
export function writeLog(auditDir: string, slot: number, sizes: readonly number[], mark = 'a'): MadeLog {
  return writeSegments(
    auditDir,
    slot,
    sizes.map((size, n) => Array.from({ length: n === 0 ? size : size - 1 }, (_, i) => outcome(`${mark}-${n}-${i}`))),
  )
}

export function writeSegments(auditDir: string, slot: number, segments: readonly (readonly AuditEvent[])[]): MadeLog {
  const folder = slotFolder(auditDir, slot)
  mkdirSync(folder, { recursive: true })
  const heads: Head[] = [GENESIS]
  const files = segments.map((events, n) => {
    const last = heads.at(-1) ?? GENESIS
    const file = segmentFile(folder, last.seq + 1)
    const opened: AuditEvent = {
      event: 'audit_segment_opened',
      timestamp: TIME,
      reason: 'renamed',
      previous_seq: last.seq,
      previous_hash: last.hash,
    }
    let text = ''
    for (const event of n === 0 ? events : [opened, ...events]) {
      const sealed = sealRecord(heads.at(-1) ?? GENESIS, serialiseEvent(event))
      heads.push(sealed.head)
      text += sealed.line
    }
    writeFileSync(file, text, { mode: 0o600 })
    return file
  })
  return { folder, files, heads }
}

/** The checkpoint of a head: a signed note, or without `signer` its body. */
export function checkpointOf(head: Head | undefined, slot: number, signer?: NoteSigner, keyName = KEY_NAME): string {
  if (head === undefined) throw new Error('there is no such record')
  return checkpointText({ ...head, origin: checkpointOrigin(keyName, slot), time: TIME }, signer)
}

export function writeCheckpoint(folder: string, text: string): string {
  const file = checkpointFiles(folder).newest
  writeFileSync(file, text)
  return file
}

/** Keeps only the first `count` lines of a file. */
export function keepLines(file: string, count: number): void {
  const lines = readFileSync(file, 'latin1').split('\n').slice(0, count)
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
}
