// data/blocked.json of the policy folder: read alone, since a fault in another file must not keep a block from being written.
import { readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { withFolderLock } from '../../platform/folder-lock.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import type { BlockTarget } from '../../policy/data/block-entry.ts'
import { checkPolicyData } from '../../policy/data/data-schema.ts'
import { EMPTY_DATA } from '../../policy/data/data-shapes.ts'
import { isRecord } from '../../policy/data/json-object.ts'
import { checkJsonText } from '../../policy/data/json-text.ts'
import { parseAsWritten } from '../../policy/data/raw-json.ts'
import { CliError, EXIT, messageOf } from '../exit.ts'

/** The sections of the file, by name; each entry as it is written there. */
type BlockedFile = {
  readonly path: string
  readonly text: string
  readonly sections: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** An entry that this command writes. */
export type FileEntry = { readonly reason: string; readonly by: string; readonly at: string }

const FILE = 'blocked.json'
/** An editor may write at the same time; another command waits for the lock. */
const ATTEMPTS = 5
/** Two seconds: whoever holds the lock for longer is dead, and a block is urgent. */
const LOCK_TRIES = 100

/** @throws {CliError} `usage` when the file cannot be used */
export async function readBlocked(dir: string): Promise<BlockedFile> {
  const path = join(dir, 'data', FILE)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw new CliError(EXIT.usage, messageOf(cause), { cause })
    const hint = `create it with this content: ${EMPTY_DATA[FILE].text}`
    throw new CliError(EXIT.usage, `${path}: no such file`, { cause, hint })
  })
  return { path, text, sections: sectionsOf(path, text) }
}

/**
 * Sets (`entry`) or removes (undefined) one name, and replaces the file in one step. False: it is as wanted already.
 * @throws {CliError} `usage` when the file cannot be used, `internal` when it cannot be written
 */
export async function editBlocked(dir: string, target: BlockTarget, entry: FileEntry | undefined): Promise<boolean> {
  // Before the lock, which would make the folder.
  await readBlocked(dir)
  return withFolderLock(join(dir, 'data'), () => editLocked(dir, target, entry), LOCK_TRIES)
}

async function editLocked(dir: string, { section, name }: BlockTarget, entry: FileEntry | undefined): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const { path, text, sections } = await readBlocked(dir)
    if (Object.hasOwn(sections[section] ?? {}, name) === (entry !== undefined)) return attempt > 0
    const { [name]: _removed, ...others } = sections[section] ?? {}
    const edited = entry === undefined ? others : { ...others, [name]: entry }
    await write(path, text, { ...sections, [section]: edited })
  }
  throw new CliError(EXIT.internal, `${join(dir, 'data', FILE)} is written again and again by others; try again`)
}

async function write(path: string, before: string, sections: BlockedFile['sections']): Promise<void> {
  const whole = parseAsWritten(before) as Readonly<Record<string, unknown>>
  const text = `${JSON.stringify({ ...whole, blocked: sections }, null, indentOf(before))}\n`
  sectionsOf(path, text)
  try {
    // A link stays one.
    const file = await realpath(path)
    const { mode } = await stat(file)
    // Somebody else was quicker: the next attempt begins with their content.
    if ((await readFile(file, 'utf8')) === before) await replaceFile(file, text, mode & 0o777)
  } catch (cause: unknown) {
    throw new CliError(EXIT.internal, `${path} cannot be written: ${messageOf(cause)}`, { cause })
  }
}

function sectionsOf(path: string, text: string): BlockedFile['sections'] {
  try {
    checkJsonText(text)
    const value = parseAsWritten(text)
    const [fault] = checkPolicyData(FILE, value)
    if (fault !== undefined) throw new Error(`${fault.path} ${fault.reason}`.trim())
    const blocked = isRecord(value) && isRecord(value['blocked']) ? value['blocked'] : {}
    return blocked as BlockedFile['sections']
  } catch (cause: unknown) {
    const hint = 'correct the file first; with CRANK_NATS_URL the block of the mesh needs no file'
    throw new CliError(EXIT.usage, `${path}: ${messageOf(cause)}`, { cause, hint })
  }
}

/** The indentation that the file has; two spaces for a file on one line. */
function indentOf(text: string): string {
  return /^\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '  '
}
