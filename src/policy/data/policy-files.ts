// The policy folder as one snapshot: Rego sources (by hash), data (as text), and the parts that the controller itself needs.
// The sidecar reads the same folder, so the revision is the same with both engines.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseCapability, type Capability } from '../../core/capability.ts'
import { printable, quoted } from '../../core/printable.ts'
import { parseSpiffeId, parseTrustDomain, trustDomainOf, type SpiffeId } from '../../core/spiffe-id.ts'
import { parseBlocked, type Blocked } from './blocked.ts'
import { checkPolicyData, type DataFault } from './data-schema.ts'
import { EMPTY_DATA, homeOf, isDataFile, REQUIRED_FILES } from './data-shapes.ts'
import { parseEnforcement, type Enforcement } from './enforcement.ts'
import { parseExactJson } from './exact-json.ts'
import { DEFAULT_MAX_DAYS, type ExceptionEntry, type ExceptionLimits } from './exception-entries.ts'
import { parseExceptions } from './exceptions.ts'
import { policyFileNames } from './folder-names.ts'
import { entriesOf, isRecord, type PolicyData } from './json-object.ts'
import { checkJsonText, JsonTextError } from './json-text.ts'
import { parseLimits, type Limits } from './limits.ts'
import { parsePrivacy, type Privacy } from './privacy.ts'
import type { PlacedFault } from './fault-place.ts'
import { policySourceHash } from './source-hash.ts'

/** Caller and capability of a question in a self-check. */
export type Probe = { readonly spiffeId: SpiffeId; readonly capability: Capability }

export type PolicyFiles = {
  readonly dir: string
  /** SHA-256 over the Rego sources, hex; policy.wasm must have been built from the same sources. */
  readonly sourceSha256: string
  /** 12 hex digits of a hash over Rego sources and data. */
  readonly revision: string
  /** The whole `data` document, with its numbers unchanged. */
  readonly dataText: string
  /** Every capability that a manifest requires or provides. */
  readonly knownCapabilities: ReadonlySet<Capability>
  /** A call that the manifests declare and that is not blocked; undefined if there is none. */
  readonly sampleAllow: Probe | undefined
  /** A call by an identity that is not in the data. */
  readonly stranger: Probe
  /** Which denials stop calls; the controller's own copy. */
  readonly enforcement: Enforcement
  /** Whom no mode lets pass; the controller's own copy. May be newer than the other fields: see live-policy.ts. */
  readonly blocked: Blocked
  /** The block list in `dataText`, which an engine with this data must enforce. */
  readonly blockedInData: Blocked
  /** How much each caller may ask for; undefined: nothing is limited. The controller's own copy, no engine is asked. */
  readonly limits: Limits | undefined
  /** What audit records leave out. The controller's own copy, no engine is asked. */
  readonly privacy: Privacy
  /** Identities with a manifest. */
  readonly knownIdentities: ReadonlySet<string>
  /** The longest lifetime of an exception. */
  readonly maxExceptionDays: number
  /** The valid exceptions, live or expired. */
  readonly exceptions: readonly ExceptionEntry[]
  /** The faults of the invalid exceptions, which have no effect. */
  readonly dataFaults: readonly DataFault[]
}

/** A policy folder that cannot be used; `message` has a line for each fault, with the file and the position in it. */
export class PolicyFilesError extends Error {
  override readonly name = 'PolicyFilesError'
  /** The faults of files with a schema. */
  readonly faults: readonly DataFault[]

  constructor(message: string, options: ErrorOptions & { readonly faults?: readonly DataFault[] } = {}) {
    super(message, options)
    this.faults = options.faults ?? []
  }
}

type DataFile = { readonly name: string; readonly text: string; readonly value: Readonly<Record<string, unknown>> }

const EXCEPTIONS = 'exceptions.json'
const BLOCKED = 'blocked.json'
/** Roots of `data` that belong to the packages of the policy. */
const RESERVED = ['crank', 'system']

/**
 * Reads `<dir>/*.rego` and `<dir>/data/*.json`. The members of a data file become members of `data`; `exceptions.json` as a
 * whole becomes `data.exceptions`: the arguments `opa run … data/worker_manifests.json exceptions:data/exceptions.json`.
 * @throws {PolicyFilesError} when a required file is missing, or when JSON is malformed, not an object, has a duplicate name
 * or does not match its schema; it reports every faulty file. In exceptions.json only the faulty entries are left out.
 */
export async function loadPolicyFiles(dir: string, nowMs: number): Promise<PolicyFiles> {
  const { sha256 } = await policySourceHash(dir)
  const files = await readDataFiles(join(dir, 'data'))
  const data = mergeValues(files)
  const sampleAllow = findSample(data)
  const maxDays = maxExceptionDays(data)
  const blocked = read('blocked', parseBlocked, data)
  return {
    dir,
    sourceSha256: sha256,
    revision: revisionOf(sha256, files),
    dataText: mergeTexts(files),
    knownCapabilities: knownCapabilities(data),
    sampleAllow,
    stranger: makeStranger(data, sampleAllow),
    enforcement: read('enforcement', parseEnforcement, data),
    blocked,
    blockedInData: blocked,
    limits: read('limits', parseLimits, data),
    privacy: read('privacy', parsePrivacy, data),
    knownIdentities: new Set(entriesOf(data['workers']).map(([id]) => id)),
    maxExceptionDays: maxDays,
    ...readExceptions(data, { nowMs, maxDays }),
  }
}

/** `files` with another block list. Unlike a spread it leaves a `dataText` alone that is decoded at its first use. */
export function withBlocked(files: PolicyFiles, blocked: Blocked): PolicyFiles {
  const members = { ...Object.getOwnPropertyDescriptors(files), blocked: { value: blocked, enumerable: true } }
  return Object.defineProperties({}, members) as PolicyFiles
}

async function readDataFiles(dir: string): Promise<DataFile[]> {
  const names = await dataFileNames(dir)
  const missing = REQUIRED_FILES.filter((name) => !names.includes(name)).map((name) => missingFile(dir, name))
  const read = await Promise.allSettled(names.map((name) => parseDataFile(join(dir, name), name)))
  const faults = [...missing, ...read.flatMap((file) => (file.status === 'rejected' ? [file.reason as unknown] : []))]
  if (faults.length > 0) throw together(faults)
  return read.flatMap((file) => (file.status === 'fulfilled' ? [file.value] : []))
}

/** Names of the data files in the folder `data`. If the folder is missing, the caller reports each required file as missing. */
export async function dataFileNames(dir: string): Promise<string[]> {
  return policyFileNames(dir, (name) => name.endsWith('.json')).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  })
}

/**
 * The block list of the folder alone, even if other files are faulty.
 * @throws {PolicyFilesError | Error} when blocked.json cannot be used
 */
export async function loadBlocked(dir: string): Promise<Blocked> {
  const { value } = await parseDataFile(join(dir, 'data', BLOCKED), BLOCKED)
  return read('blocked', parseBlocked, value)
}

function missingFile(dir: string, name: keyof typeof EMPTY_DATA): PolicyFilesError {
  const { text, meaning } = EMPTY_DATA[name]
  const reason = `no such file; put it back or, if ${meaning}, create it with this content: ${text}`
  return refused(join(dir, name), name, [{ path: '', reason }])
}

/** One error for all faulty files, so that an operator sees every fault at once. */
function together(causes: readonly unknown[]): unknown {
  const [first] = causes
  if (causes.length === 1) return first
  const faults = causes.flatMap((cause) => (cause instanceof PolicyFilesError ? cause.faults : []))
  return new PolicyFilesError(causes.map(messageOf).join('\n'), { cause: first, faults })
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

async function parseDataFile(path: string, name: string): Promise<DataFile> {
  const text = await readUtf8(path)
  try {
    checkJsonText(text)
  } catch (cause: unknown) {
    if (cause instanceof JsonTextError) throw refused(path, name, [{ path: '', reason: cause.message }], { cause })
    throw cause
  }
  const value = parseExactJson(text)
  if (!isRecord(value)) throw refused(path, name, [{ path: '', reason: 'must contain a JSON object' }])
  const faults = isDataFile(name) && name !== EXCEPTIONS ? checkPolicyData(name, value) : []
  if (faults.length > 0) throw refused(path, name, faults)
  return { name, text: text.trim(), value }
}

function refused(file: string, name: string, found: readonly PlacedFault[], options?: ErrorOptions): PolicyFilesError {
  const lines = found.map(({ path, reason }) => `${file}: ${path === '' ? '' : `${path} `}${reason}`)
  const faults = isDataFile(name) ? found.map(({ path, reason }) => ({ file: name, path, reason })) : []
  return new PolicyFilesError(lines.map(printable).join('\n'), { ...options, faults })
}

async function readUtf8(path: string): Promise<string> {
  const bytes = await readFile(path)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause: unknown) {
    throw refused(path, basename(path), [{ path: '', reason: 'not valid UTF-8' }], { cause })
  }
}

function mergeValues(files: readonly DataFile[]): PolicyData {
  const data = new Map<string, unknown>()
  for (const { name, value } of files) {
    for (const [key, member] of name === EXCEPTIONS ? [['exceptions', value] as const] : Object.entries(value)) {
      if (RESERVED.includes(key))
        throw new PolicyFilesError(`data/${name}: the name ${quoted(key)} is reserved for the policy`)
      const home = homeOf(key) ?? name
      if (home !== name) throw new PolicyFilesError(`data/${name}: ${quoted(key)} belongs in ${home}`)
      if (data.has(key)) throw new PolicyFilesError(`data/${name}: another file already defines ${quoted(key)}`)
      data.set(key, member)
    }
  }
  return Object.fromEntries(data)
}

// Joined as text: JavaScript numbers would change an expiry of 19 digits by up to 128 ns.
function mergeTexts(files: readonly DataFile[]): string {
  const members = files.map(({ name, text }) => (name === EXCEPTIONS ? `"exceptions":${text}` : text.slice(1, -1)))
  return `{${members.filter((text) => text.trim() !== '').join(',')}}`
}

function readExceptions(data: PolicyData, limits: ExceptionLimits): Pick<PolicyFiles, 'exceptions' | 'dataFaults'> {
  const { entries, faults } = parseExceptions(data['exceptions'] ?? {}, limits)
  return { exceptions: entries, dataFaults: faults.map((fault) => ({ file: EXCEPTIONS, ...fault })) }
}

function maxExceptionDays(data: PolicyData): number {
  const limits = data['exception_limits']
  const days = isRecord(limits) ? limits['max_days'] : undefined
  return typeof days === 'number' ? days : DEFAULT_MAX_DAYS
}

/** Reads a member of `data` that is refused as a whole if any part of it is invalid. */
function read<T>(name: string, parse: (value: unknown) => T, data: PolicyData): T {
  try {
    return parse(data[name])
  } catch (cause: unknown) {
    throw new PolicyFilesError(`data/${name}.json: ${messageOf(cause)}`, { cause })
  }
}

function revisionOf(sourceSha256: string, files: readonly DataFile[]): string {
  const hash = createHash('sha256').update(sourceSha256)
  for (const { name, text } of files) hash.update(`\0${name}\0${text}`)
  return hash.digest('hex').slice(0, 12)
}

function knownCapabilities(data: PolicyData): ReadonlySet<Capability> {
  const manifests = entriesOf(data['workers']).map(([, entry]) => entry)
  return new Set(
    manifests.flatMap((entry) => [
      ...capabilitiesIn(entry, 'required_capabilities'),
      ...capabilitiesIn(entry, 'provided_capabilities'),
    ]),
  )
}

function capabilitiesIn(entry: unknown, field: string): Capability[] {
  const list = isRecord(entry) ? entry[field] : undefined
  return Array.isArray(list) ? list.flatMap((item: unknown) => parsed(parseCapability, item)) : []
}

function findSample(data: PolicyData): Probe | undefined {
  const blocked = isRecord(data['blocked']) ? data['blocked'] : {}
  const isBlocked = (section: string, key: string): boolean =>
    entriesOf(blocked[section]).some(([name]) => name === key)
  for (const [id, entry] of entriesOf(data['workers'])) {
    const [spiffeId] = parsed(parseSpiffeId, id)
    if (spiffeId === undefined || isBlocked('identities', id)) continue
    const capability = capabilitiesIn(entry, 'required_capabilities').find((name) => !isBlocked('capabilities', name))
    if (capability !== undefined) return { spiffeId, capability }
  }
  return undefined
}

function makeStranger(data: PolicyData, sample: Probe | undefined): Probe {
  const domain = sample === undefined ? parseTrustDomain('self-check.invalid') : trustDomainOf(sample.spiffeId)
  const known = new Set(['workers', 'exceptions'].flatMap((name) => entriesOf(data[name]).map(([id]) => id)))
  let path = 'self-check/stranger'
  while (known.has(`spiffe://${domain}/${path}`)) path += '-x'
  const spiffeId = parseSpiffeId(`spiffe://${domain}/${path}`)
  return { spiffeId, capability: sample?.capability ?? parseCapability('invoke:nothing') }
}

function parsed<T>(parse: (text: string) => T, value: unknown): [] | [T] {
  try {
    return typeof value === 'string' ? [parse(value)] : []
  } catch {
    return []
  }
}
