// Blocks that all controllers of a mesh share: the words that operators put into the bucket `crank-blocks`, one entry per name.
// An unblock is a word too: who lifted a block, and why, and a name that nobody has heard of stays different from a lifted one.
import { hash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { parseCapability } from '../../core/capability.ts'
import { misfitOf } from '../../core/misfit.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import type { Blocked } from './blocked.ts'
import { CERTIFICATE_NAME, certificateRule } from './data-shapes.ts'

export type BlockSection = keyof Blocked
/** What can be blocked: a SPIFFE ID, a `verb:name`, or a certificate, in the form of blocked.json. */
export type BlockTarget = { readonly section: BlockSection; readonly name: string }

/** The last word about a name. `by`: who says that they said it; NATS lets only operators write. `at`: by their clock. */
export type BlockEntry = BlockTarget & {
  readonly isBlocked: boolean
  readonly by: SpiffeId
  readonly at: string
  readonly reason: string
}

/**
 * What a controller knows of them. `entries` undefined: it has never seen the list. `isCurrent`: it hears of changes now; else
 * this is the last known list.
 */
export type KnownBlocks = { readonly entries: readonly BlockEntry[] | undefined; readonly isCurrent: boolean }

/** Where the live policy gets the list from. */
export type BlockSource = {
  readonly known: () => KnownBlocks
  /** The returned function unsubscribes. */
  readonly onChange: (listener: () => void) => () => void
}

export const MAX_REASON_CHARS = 512
const SECTIONS = ['identities', 'capabilities', 'certificates'] as const
const StoredBlock = Type.Object({
  v: Type.Literal(1),
  section: Type.Enum(SECTIONS),
  name: Type.String({ minLength: 1, maxLength: 2048 }),
  blocked: Type.Boolean(),
  by: Type.String(),
  at: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
  reason: Type.String({ minLength: 1, maxLength: MAX_REASON_CHARS }),
})
const validator = Compile(StoredBlock)
const CERTIFICATE = new RegExp(CERTIFICATE_NAME)

/** The key of a name in the bucket: names have characters that a key may not have. */
export function blockKey({ section, name }: BlockTarget): string {
  return `${section}.${hash('sha256', name, 'base64url')}`
}

export function encodeBlock({ section, name, isBlocked, by, at, reason }: BlockEntry): string {
  const stored: Static<typeof StoredBlock> = { v: 1, section, name, blocked: isBlocked, by, at, reason }
  return JSON.stringify(stored)
}

/** @throws {Error} that says why it is none, or not the one of this key */
export function decodeBlock(key: string, text: string): BlockEntry {
  const value: unknown = JSON.parse(text)
  if (!validator.Check(value)) throw new Error(misfitOf(validator, value))
  const { section, name, blocked: isBlocked, by, at, reason } = value
  checkName({ section, name })
  if (blockKey({ section, name }) !== key) throw new Error('it is stored under the key of another name')
  return { section, name, isBlocked, by: parseSpiffeId(by), at, reason }
}

/** The names that these entries block. */
export function blockedBy(entries: Iterable<BlockEntry>): Blocked {
  const blocked = { identities: new Set<string>(), capabilities: new Set<string>(), certificates: new Set<string>() }
  for (const { section, name, isBlocked } of entries) if (isBlocked) blocked[section].add(name)
  return blocked
}

/** What either list blocks. */
export function unionOf(one: Blocked, other: Blocked): Blocked {
  return {
    identities: one.identities.union(other.identities),
    capabilities: one.capabilities.union(other.capabilities),
    certificates: one.certificates.union(other.certificates),
  }
}

function checkName({ section, name }: BlockTarget): void {
  if (section === 'identities') parseSpiffeId(name)
  else if (section === 'capabilities') parseCapability(name)
  else if (!CERTIFICATE.test(name)) throw new Error(`the name of a certificate ${certificateRule}`)
}
