// Reads a folder of SLO files: all of them or none, and all faults together.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { markOfStats } from '../platform/file-lookout.ts'
import type { Slo } from './slo.ts'
import { describeSloFault, readSlo, type SloFault } from './slo-file.ts'

/** The folder cannot be used; the message has one line for each fault. */
export class SloFilesError extends Error {
  override readonly name = 'SloFilesError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[], options?: ErrorOptions) {
    super(faults.join('\n'), options)
    this.faults = faults
  }
}

/** `dir`: named in the faults. `mayBeAbsent`: a folder that does not exist has no SLOs. */
export type SloPlace = { readonly dir: string; readonly mayBeAbsent: boolean }

const DEFAULT_DIR = 'slos'
const MAX_FILE_BYTES = 65_536

/** The place that CRANK_SLO_DIR names. Only the default may be absent: a misspelt name must not mean that there are no SLOs. */
export function sloPlaceOf(dir: string | undefined): SloPlace {
  return { dir: dir ?? DEFAULT_DIR, mayBeAbsent: dir === undefined }
}

/** @throws {SloFilesError} with every fault of every file */
export async function loadSloFolder({ dir, mayBeAbsent }: SloPlace): Promise<readonly Slo[]> {
  const names = await namesIn(dir, mayBeAbsent)
  const faults: string[] = []
  const slos = new Map<string, { slo: Slo; file: string }>()
  for (const name of names) {
    const file = join(dir, name)
    if (name.endsWith('.yml')) {
      faults.push(`${file}: is not read; rename it to ${name.replace(/yml$/, 'yaml')}`)
      continue
    }
    const text = await textOf(file, faults)
    if (text === undefined) continue
    const reading = readSlo(file, text)
    if (reading.slo === undefined) faults.push(...reading.faults.map(describeSloFault))
    else {
      const { slo, at } = reading
      const other = slos.get(slo.capability)
      if (other === undefined) slos.set(slo.capability, { slo, file })
      else faults.push(describeSloFault(duplicate(file, at, other.file)))
    }
  }
  if (faults.length > 0) throw new SloFilesError(faults)
  return [...slos.values()].map(({ slo }) => slo)
}

/** Changes with every change of a file. */
export async function signatureOfSlos({ dir, mayBeAbsent }: SloPlace): Promise<string> {
  const parts: string[] = []
  for (const name of await namesIn(dir, mayBeAbsent)) {
    parts.push(`${name} ${markOfStats(await stat(join(dir, name), { bigint: true }))}`)
  }
  return parts.join('\n')
}

async function namesIn(dir: string, mayBeAbsent: boolean): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.')).sort()
  } catch (cause: unknown) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' && mayBeAbsent) return []
    const what = code === 'ENOENT' ? 'no such folder' : code === 'ENOTDIR' ? 'not a folder' : `cannot be read (${code})`
    throw new SloFilesError([`${dir}: ${what}; set CRANK_SLO_DIR to the folder of your SLO files`], { cause })
  }
}

async function textOf(file: string, faults: string[]): Promise<string | undefined> {
  try {
    const { size } = await stat(file)
    if (size <= MAX_FILE_BYTES) return await readFile(file, 'utf8')
    faults.push(`${file}: is larger than ${MAX_FILE_BYTES} bytes; an SLO has a dozen lines`)
  } catch (cause: unknown) {
    faults.push(`${file}: cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'}); check its rights`)
  }
  return undefined
}

function duplicate(file: string, at: { line: number; column: number }, other: string): SloFault {
  return { file, ...at, path: 'capability', reason: `has an SLO in ${other} already; keep one of them` }
}
