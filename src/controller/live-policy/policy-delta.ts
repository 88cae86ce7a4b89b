// The difference between two policies, small enough for an audit record: files, and numbers and names of entries.
import type { Blocked } from '../../policy/data/blocked.ts'
import { entriesOf, isRecord } from '../../policy/data/json-object.ts'
import { parseAsWritten } from '../../policy/data/raw-json.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'

/** `names`: at most ten of the entries, each prefixed with `+`, `-` or `~`. */
type EntryDelta = {
  readonly added: number
  readonly removed: number
  readonly changed: number
  readonly names: readonly string[]
}

/** Members of the audit record. `files`: at most 20, by name within the policy folder. */
export type PolicyDelta = {
  readonly files: readonly string[]
  readonly files_changed: number
  readonly workers: EntryDelta
  readonly exceptions: EntryDelta
  readonly blocked_identities: EntryDelta
  readonly blocked_capabilities: EntryDelta
  readonly blocked_certificates: EntryDelta
  readonly enforcement: EntryDelta
  readonly limits: EntryDelta
  readonly privacy: EntryDelta
}

const MAX_FILES = 20
const MAX_NAMES = 10
// A longer key is cut: keys come from files, and the size of a record is limited.
const MAX_NAME = 256
const NONE: EntryDelta = { added: 0, removed: 0, changed: 0, names: [] }

/** No visible change in the controller's own folder. */
export const NO_DELTA: PolicyDelta = {
  files: [],
  files_changed: 0,
  workers: NONE,
  exceptions: NONE,
  blocked_identities: NONE,
  blocked_capabilities: NONE,
  blocked_certificates: NONE,
  enforcement: NONE,
  limits: NONE,
  privacy: NONE,
}

type Compared = {
  readonly hashes: ReadonlyMap<string, string>
  readonly files: Pick<PolicyFiles, 'dataText'>
}

/** Compares two readings of the policy folder. */
export function deltaOf(previous: Compared, next: Compared): PolicyDelta {
  const files = [...new Set([...previous.hashes.keys(), ...next.hashes.keys()])]
    .filter((name) => previous.hashes.get(name) !== next.hashes.get(name))
    .sort()
  // As JavaScript numbers, two expiry times 100 ns apart would be equal.
  const [before, after] = [parseAsWritten(previous.files.dataText), parseAsWritten(next.files.dataText)]
  const compare = (...path: string[]): EntryDelta => entryDelta(memberOf(before, path), memberOf(after, path))
  return {
    files: files.slice(0, MAX_FILES),
    files_changed: files.length,
    workers: compare('workers'),
    exceptions: compare('exceptions'),
    blocked_identities: compare('blocked', 'identities'),
    blocked_capabilities: compare('blocked', 'capabilities'),
    blocked_certificates: compare('blocked', 'certificates'),
    enforcement: entryDelta(modesOf(before), modesOf(after)),
    limits: entryDelta(limitsOf(before), limitsOf(after)),
    privacy: compare('privacy'),
  }
}

/** Compares two block lists without the rest of their folder; undefined when they are equal. */
export function blockedDelta(before: Blocked, after: Blocked): PolicyDelta | undefined {
  const compare = (section: keyof Blocked): EntryDelta => entryDelta(listed(before[section]), listed(after[section]))
  const [identities, capabilities, certificates] = [
    compare('identities'),
    compare('capabilities'),
    compare('certificates'),
  ]
  if ([identities, capabilities, certificates].every(({ names }) => names.length === 0)) return undefined
  const files = ['data/blocked.json']
  return {
    ...NO_DELTA,
    files,
    files_changed: files.length,
    blocked_identities: identities,
    blocked_capabilities: capabilities,
    blocked_certificates: certificates,
  }
}

function listed(names: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries([...names].map((name) => [name, true]))
}

function entryDelta(before: unknown, after: unknown): EntryDelta {
  const [old, now] = [new Map(entriesOf(before)), new Map(entriesOf(after))]
  const added = [...now.keys()].filter((key) => !old.has(key))
  const removed = [...old.keys()].filter((key) => !now.has(key))
  const changed = [...now.keys()].filter((key) => old.has(key) && textOf(old.get(key)) !== textOf(now.get(key)))
  const names = [
    ...added.map((key) => `+${key}`),
    ...removed.map((key) => `-${key}`),
    ...changed.map((key) => `~${key}`),
  ]
  return {
    added: added.length,
    removed: removed.length,
    changed: changed.length,
    names: names.slice(0, MAX_NAMES).map((name) => name.slice(0, MAX_NAME)),
  }
}

/** The modes as one object: `default`, then callers and capabilities by name. */
function modesOf(data: unknown): Record<string, unknown> {
  const enforcement = memberOf(data, ['enforcement'])
  if (!isRecord(enforcement)) return {}
  return {
    default: enforcement['default'] ?? 'enforce',
    ...Object.fromEntries(entriesOf(enforcement['callers'])),
    ...Object.fromEntries(entriesOf(enforcement['capabilities'])),
  }
}

/** The limits as one object: `default`, then callers and capabilities by name. */
function limitsOf(data: unknown): Record<string, unknown> {
  return {
    ...Object.fromEntries(entriesOf(memberOf(data, ['limits'])).filter(([name]) => name === 'default')),
    ...Object.fromEntries(entriesOf(memberOf(data, ['limits', 'identities']))),
    ...Object.fromEntries(entriesOf(memberOf(data, ['limits', 'capabilities']))),
  }
}

function memberOf(data: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (isRecord(value) ? value[name] : undefined), data)
}

function textOf(value: unknown): string {
  return JSON.stringify(value)
}
