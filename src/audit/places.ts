// Where the audit logs are in the state folder: each process of a controller is a slot with a folder and a chain of its own.
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** An audit log: of a slot, or a file that somebody named (`slot` null). */
export type AuditPlace = { readonly slot: number | null; readonly file: string }

const FOLDER = 'audit'
const FILE = '1.jsonl'
const SLOT = /^(?:0|[1-9]\d*)$/

/** The audit log of a slot. One process is slot 0. */
export function auditFileOf(stateDir: string, slot: number): string {
  return join(stateDir, FOLDER, String(slot), FILE)
}

/** The audit log of older versions, which knew no slots; the next start makes it the file of slot 0. */
export function oldAuditFileOf(stateDir: string): string {
  return join(stateDir, 'audit.jsonl')
}

/**
 * The audit logs that there are, by slot. The file of an older version is that of slot 0 until a start has moved it. Throws the
 * file system's error when the folder cannot be read.
 */
export function auditPlacesIn(stateDir: string): AuditPlace[] {
  const logs = slotsIn(join(stateDir, FOLDER))
    .map((slot) => ({ slot, file: auditFileOf(stateDir, slot) }))
    .filter(({ file }) => isThere(file))
  const old = oldAuditFileOf(stateDir)
  return logs[0]?.slot === 0 || !isThere(old) ? logs : [{ slot: 0, file: old }, ...logs]
}

function slotsIn(folder: string): number[] {
  try {
    const names = readdirSync(folder).filter((name) => SLOT.test(name))
    return names.map(Number).sort((a, b) => a - b)
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}

function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined
}
