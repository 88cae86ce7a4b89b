// What was probably meant: a name that no manifest has may be a typing error. Only hints: a block of an unknown name is a block.
import { loadPolicyFiles } from '../../policy/data/policy-files.ts'
import type { BlockTarget } from '../../policy/data/block-entry.ts'
import { policyDirOf } from '../places.ts'
import { alikeIdentity, didYouMean } from '../policy-ask/likeness.ts'
import { readBlocked } from './blocked-file.ts'
import type { BlockPlaces } from './places.ts'

/** Sentences about a name that is to be blocked. None if the policy folder cannot be read. */
export async function hintsFor(
  { section, name }: BlockTarget,
  options: { policy?: string | undefined },
): Promise<string[]> {
  if (section === 'certificates') return []
  const policy = await loadPolicyFiles(policyDirOf(options), Date.now()).catch(() => undefined)
  if (policy === undefined) return []
  const { knownIdentities, knownCapabilities } = policy
  if (section === 'capabilities') {
    if ([...knownCapabilities].some((known) => known === name)) return []
    return [`no manifest names ${name}${didYouMean(name, knownCapabilities)}`]
  }
  if (knownIdentities.has(name)) return []
  const near = alikeIdentity(name, [...knownIdentities])
  return [`${name} has no manifest${near === undefined ? '' : `; did you mean ${near.name}? (${near.how})`}`]
}

/** The blocked name of the file that was probably meant; undefined if there is none. */
export async function lookalike({ section, name }: BlockTarget, { dir }: BlockPlaces): Promise<string | undefined> {
  const file = dir === undefined ? undefined : await readBlocked(dir).catch(() => undefined)
  const names = Object.keys(file?.sections[section] ?? {})
  const near = section === 'identities' ? alikeIdentity(name, names)?.name : undefined
  const meant = near === undefined ? didYouMean(name, names).replace(/^; /, '') : `did you mean ${near}?`
  return meant === '' ? 'crank block --list shows what is' : meant
}
