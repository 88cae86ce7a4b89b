// `crank manifest add`: the entry of a worker whose code is elsewhere, in any repository and language. It only adds.
import { CapabilityError, parseCapability } from '../../core/capability.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from '../../core/spiffe-id.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeLine, type Format } from '../output.ts'
import { trustDomainOf } from '../places.ts'
import { didYouMean } from '../policy-ask/likeness.ts'
import type { ListName } from './compare.ts'
import { formatManifest, newEntry, withMembers, type Entry, type ManifestFile } from './entries.ts'
import { compareText } from './fault.ts'
import { deploymentTime, manifestPath, readManifestFile, replaceManifest } from './manifest-file.ts'

type AddOptions = {
  provides?: readonly string[] | undefined
  requires?: readonly string[] | undefined
  spiffeId?: string | undefined
  owner: string
  /** Default: data/worker_manifests.json of CRANK_POLICY_DIR. */
  manifest?: string | undefined
  trustDomain?: string | undefined
  force?: true | undefined
  dryRun?: true | undefined
  output: Format
}
/** The content of the entry. */
type Wanted = {
  readonly workerId: string
  readonly spiffeId: SpiffeId
  readonly provides: readonly string[]
  readonly requires: readonly string[]
}

// The part after `worker-`: valid in a worker_id and in a segment of a SPIFFE ID.
const NAME = /^[A-Za-z0-9_-]{1,57}$/

/** Writes the entry, or the missing parts of it. @throws {CliError} `usage` for invalid input or a conflict */
export async function addToManifest(name: string, options: AddOptions, now: () => number): Promise<ExitCode> {
  const wanted = readWanted(name, options)
  const path = manifestPath(options.manifest)
  const file = await readManifestFile(path)
  const own = ownEntry(file, wanted, options.spiffeId !== undefined)
  if (options.force !== true) refuseConflicts(file, wanted)
  const fresh = { owner: options.owner, deployed_at: deploymentTime(now()) }
  const entry =
    own === undefined ? newEntry(wanted.spiffeId, { ...membersOf(wanted), ...fresh }) : extended(own, wanted)
  const text = formatManifest(file, [...file.entries.filter((item) => item !== own), entry])
  const changed = text !== file.text
  const written = changed && options.dryRun !== true
  if (written) await replaceManifest(path, text)
  if (options.output === 'json') {
    const { workerId: worker_id, spiffeId: spiffe_id } = wanted
    writeJson({ changed, written, manifest: path, spiffe_id, worker_id, entry: entry.value })
  } else {
    if (changed) printAdded(wanted, own, entry)
    const wrote = written ? 'written' : 'not written (--dry-run)'
    say(changed ? `${path}: ${wrote}` : `${path} is up to date`)
  }
  return EXIT.ok
}

function readWanted(name: string, options: AddOptions): Wanted {
  const provides = readNames('--provides', options.provides)
  const requires = readNames('--requires', options.requires)
  if (provides.length + requires.length === 0) {
    throw new CliError(
      EXIT.usage,
      'give the capabilities that the worker offers or calls: --provides verb:name, --requires verb:name',
    )
  }
  if (name.startsWith('worker-')) {
    throw new CliError(EXIT.usage, `"${name}": leave out "worker-"; it is added automatically`)
  }
  if (!NAME.test(name)) {
    throw new CliError(EXIT.usage, `"${name}" is not a name for a worker: must be 1 to 57 letters, digits, - and _`)
  }
  const given = options.spiffeId ?? `spiffe://${trustDomainOf(options)}/worker/${name}`
  return { workerId: `worker-${name}`, spiffeId: readSpiffeId(given), provides, requires }
}

function readNames(option: string, names: readonly string[] = []): string[] {
  return names.map((name) => {
    try {
      return parseCapability(name)
    } catch (cause: unknown) {
      if (!(cause instanceof CapabilityError)) throw cause
      throw new CliError(EXIT.usage, `${option} ${name}: ${cause.message}`, { cause, hint: 'such as make:invoice' })
    }
  })
}

function readSpiffeId(text: string): SpiffeId {
  try {
    return parseSpiffeId(text)
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError)) throw cause
    throw new CliError(EXIT.usage, `--spiffe-id ${text}: ${cause.message}`, { cause })
  }
}

/** The entry of this identity, if it belongs to this worker. `isGiven`: the user chose the SPIFFE ID. */
function ownEntry({ entries }: ManifestFile, { workerId, spiffeId }: Wanted, isGiven: boolean): Entry | undefined {
  const own = entries.find((entry) => entry.spiffeId === spiffeId)
  if (own !== undefined) {
    const found = own.value['worker_id']
    if (found === workerId) return own
    throw new CliError(EXIT.usage, `${spiffeId} is the entry of ${String(found)}, not of ${workerId}`, {
      hint: 'give the worker another name, or its own identity with --spiffe-id',
    })
  }
  const other = entries.find(({ value }) => value['worker_id'] === workerId)
  if (other === undefined || isGiven) return undefined
  throw new CliError(EXIT.usage, `${workerId} already has an entry, under ${other.spiffeId}`, {
    hint: `add to it with --spiffe-id ${other.spiffeId}, or give the new identity with --spiffe-id`,
  })
}

/** Two providers of one capability, or a capability without a provider, are usually mistakes. */
function refuseConflicts({ entries }: ManifestFile, { spiffeId, provides, requires }: Wanted): void {
  const others = entries.filter((entry) => entry.spiffeId !== spiffeId)
  const own = entries.filter((entry) => entry.spiffeId === spiffeId)
  const offered = new Set([...provides, ...entries.flatMap((entry) => listOf(entry, 'provided_capabilities'))])
  const taken = provides.flatMap((name) => {
    const provider = others.find((entry) => listOf(entry, 'provided_capabilities').includes(name))
    const isOwn = own.some((entry) => listOf(entry, 'provided_capabilities').includes(name))
    return provider === undefined || isOwn ? [] : [`--provides ${name}: ${provider.spiffeId} already provides it`]
  })
  const unknown = requires
    .filter((name) => !offered.has(name))
    .map((name) => `--requires ${name}: no manifest provides it${didYouMean(name, offered)}`)
  const [first, ...details] = [...taken, ...unknown]
  if (first === undefined) return
  throw new CliError(EXIT.usage, first, { details, hint: 'to write it anyway: --force' })
}

/** A worker may also call what it provides, as in every entry that `generate` writes. */
function membersOf({ workerId, provides, requires }: Wanted) {
  return {
    worker_id: workerId,
    required_capabilities: sorted([...provides, ...requires]),
    provided_capabilities: sorted(provides),
  }
}

function extended(entry: Entry, wanted: Wanted): Entry {
  const { required_capabilities, provided_capabilities } = membersOf(wanted)
  return withMembers(entry, {
    required_capabilities: joined(listOf(entry, 'required_capabilities'), required_capabilities),
    provided_capabilities: joined(listOf(entry, 'provided_capabilities'), provided_capabilities),
  })
}

/** A list that already has all of it keeps its order. */
function joined(list: readonly string[], more: readonly string[]): readonly string[] {
  return more.every((name) => list.includes(name)) ? list : sorted([...list, ...more])
}

function listOf({ value }: Entry, list: ListName): readonly string[] {
  const names = value[list]
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort(compareText)
}

function printAdded({ workerId, spiffeId }: Wanted, before: Entry | undefined, after: Entry): void {
  writeLine(paint('bold', `${workerId} (${spiffeId})`))
  for (const list of ['required_capabilities', 'provided_capabilities'] as const) {
    const had = before === undefined ? [] : listOf(before, list)
    for (const name of listOf(after, list).filter((item) => !had.includes(item))) {
      writeLine(paint('green', `+ ${list}: ${name}`))
    }
  }
}
