// `crank exception revoke`: removes an entry, or some of its capabilities.
import { isRecord } from '../../policy/data/json-object.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { writeJson } from '../output.ts'
import { readExceptions, writeExceptions, type EditOptions, type ExceptionsFile } from './exceptions-file.ts'
import { parseCaps, readWho } from './grant.ts'
import { formatEntry, removeMember, setMember } from './json-edit.ts'

type RevokeOptions = EditOptions & { who: string; cap?: string[] | undefined }

/** `negative` when there is nothing to revoke. */
export async function revokeException(options: RevokeOptions): Promise<ExitCode> {
  const who = readWho(options.who)
  const caps = options.cap && parseCaps(options.cap)
  const file = await readExceptions(options)
  if (!Object.hasOwn(file.entries, who)) throw new CliError(EXIT.negative, `${who} has no exception in ${file.path}`)
  const left = caps === undefined ? [] : withoutCaps(who, caps, file)
  await writeExceptions(file, left.length === 0 ? removeMember(file.text, who) : narrowed(who, left, file), options)
  if (options.output === 'json') {
    writeJson({ file: file.path, written: options.dryRun !== true, revoked: who, capabilities: caps ?? null })
  }
  return EXIT.ok
}

/** The capabilities that remain. @throws {CliError} `negative` for one that is not in the entry */
function withoutCaps(who: string, caps: readonly string[], { entries }: ExceptionsFile): unknown[] {
  const entry = entries[who]
  const capabilities = isRecord(entry) ? entry['capabilities'] : undefined
  if (!Array.isArray(capabilities)) {
    throw new CliError(EXIT.negative, `the exception of ${who} names no capabilities: revoke it without --cap`)
  }
  const missing = caps.find((cap) => !capabilities.includes(cap))
  if (missing !== undefined) throw new CliError(EXIT.negative, `${who} has no exception for ${missing}`)
  return capabilities.filter((capability) => !caps.includes(String(capability)))
}

function narrowed(who: string, capabilities: readonly unknown[], { text, entries }: ExceptionsFile): string {
  const entry = entries[who] as Readonly<Record<string, unknown>>
  return setMember(text, who, formatEntry({ ...entry, capabilities }))
}
