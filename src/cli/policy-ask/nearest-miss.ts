// Explains an answer from the policy data, and what would change it. A pure function: the policy gives the answer; this
// only looks for what the author may have meant.
import type { Capability } from '../../core/capability.ts'
import { formatInstant } from '../../core/instant.ts'
import type { AskAnswer } from '../../core/policy-ask.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { placeOf } from '../../policy/data/fault-place.ts'
import { declare, grant, namedInstead, takeOut, type Change } from './change.ts'
import { knownCapabilities, knownIdentities, workersWith, type Knowledge } from './knowledge.ts'
import { alike, alikeIdentity, didYouMean, type Likeness } from './likeness.ts'

export type Asked = { readonly spiffeId: SpiffeId; readonly capability: Capability }
export type Said = Pick<AskAnswer, 'decision' | 'grounds' | 'exception'> & {
  readonly reasons: readonly { readonly code: string }[]
}

/** `misses`: sentences, the nearest first. `changes`: the likeliest first. */
export type Nearest = { readonly misses: readonly string[]; readonly changes: readonly Change[] }

type Explain = (asked: Asked, said: Said, knowledge: Knowledge) => Nearest

const NOTHING: Nearest = { misses: [], changes: [] }

/** By the reason code of a denial. Codes of other Rego are unknown here; their message is shown alone. */
const BY_REASON: Readonly<Record<string, Explain>> = {
  identity_blocked: ({ spiffeId }, _said, { blocked }) => block('identities', spiffeId, blocked.identities),
  capability_blocked: ({ capability }, _said, { blocked }) => block('capabilities', capability, blocked.capabilities),
  worker_unknown: unknownWorker,
  capability_not_declared: notDeclared,
  exception_expired: expired,
  exception_invalid: invalid,
}

/** Finds the nearest miss of a denial, and what an allow depends on. */
export function nearestMiss(asked: Asked, said: Said, knowledge: Knowledge): Nearest {
  if (said.decision === null) return NOTHING
  if (said.decision === 'allow') return whatItHangsOn(asked, said, knowledge)
  const explained = said.reasons.map(({ code }) => {
    return (Object.hasOwn(BY_REASON, code) ? BY_REASON[code] : undefined)?.(asked, said, knowledge) ?? NOTHING
  })
  const changes = explained.flatMap((part) => part.changes)
  return {
    misses: [...new Set(explained.flatMap(({ misses }) => misses))],
    changes: [...new Map(changes.map((change) => [change.what, change])).values()],
  }
}

/** Says that no manifest provides or requires the capability, and suggests a similar one; undefined when one does. */
export function notKnown(capability: Capability, knowledge: Knowledge): string | undefined {
  const lists = ['provided', 'required'] as const
  if (lists.some((list) => workersWith(knowledge, list, capability).length > 0)) return undefined
  return `no manifest names ${capability}${didYouMean(capability, knownCapabilities(knowledge))}`
}

function block(section: 'identities' | 'capabilities', name: string, entries: ReadonlyMap<string, unknown>): Nearest {
  const why = entries.get(name)
  const because = typeof why === 'string' && why !== '' ? `: "${why}"` : ''
  return {
    misses: [`${name} is on the block list, which takes precedence over manifests and exceptions${because}`],
    changes: [takeOut(section, name)],
  }
}

function unknownWorker({ spiffeId, capability }: Asked, _said: Said, knowledge: Knowledge): Nearest {
  const hasException = knowledge.exceptionIds.includes(spiffeId)
  const near = hasException ? undefined : alikeIdentity(spiffeId, knownIdentities(knowledge))
  const instead = near === undefined ? [] : [namedInstead(`use the identity ${near.name}, if you meant this worker`)]
  return {
    misses: [
      hasException ? 'the identity has no manifest, only an exception' : onIdentity(near, capability, knowledge),
      ...onCapability({ spiffeId, capability }, knowledge),
    ],
    changes: [...instead, declare(spiffeId, capability, 'new'), grant(spiffeId, capability)],
  }
}

function notDeclared({ spiffeId, capability }: Asked, _said: Said, knowledge: Knowledge): Nearest {
  const own = requiredBy(spiffeId, knowledge)
  const near = alike(capability, own) ?? otherVerb(capability, own)
  const isKnown = knownCapabilities(knowledge).includes(capability)
  const misses = [
    ...(near === undefined
      ? []
      : [`the manifest of ${workerOf(spiffeId, knowledge)} declares ${near.name} (${near.how})`]),
    ...onCapability({ spiffeId, capability }, knowledge),
    ...otherExceptions({ spiffeId, capability }, knowledge),
  ]
  const meant = near?.name ?? (isKnown ? undefined : alike(capability, knownCapabilities(knowledge))?.name)
  const instead = meant === undefined ? [] : [namedInstead(`call ${meant}, if you meant this capability`)]
  const ways = [declare(spiffeId, capability, 'known'), grant(spiffeId, capability)]
  return { misses, changes: isKnown ? [...ways, ...instead] : [...instead, ...ways] }
}

function expired({ spiffeId, capability }: Asked, { exception }: Said, { exceptions }: Knowledge): Nearest {
  const entry = exceptions.find(({ name }) => name === exception)
  const until = entry === undefined ? '' : ` until ${formatInstant(entry.expiresAfterNs)} (owner ${entry.owner})`
  return { misses: [`an exception covered this${until}`], changes: [grant(spiffeId, capability)] }
}

function invalid({ spiffeId, capability }: Asked, _said: Said, { exceptionFaults }: Knowledge): Nearest {
  const faults = exceptionFaults.filter(({ path }) => path.startsWith(placeOf('', spiffeId)))
  const sentences = faults.map(({ path, reason }) => `its exception has no effect: ${path} ${reason}`)
  return {
    misses: sentences.length > 0 ? sentences : ['its exception has no effect: it is malformed, or ends too far ahead'],
    changes: [grant(spiffeId, capability)],
  }
}

function whatItHangsOn({ spiffeId, capability }: Asked, { grounds, exception }: Said, knowledge: Knowledge): Nearest {
  const isProvided = workersWith(knowledge, 'provided', capability).length > 0
  const unprovided = isProvided ? [] : ['no manifest provides it: a call finds no worker']
  if (grounds.includes('declared')) return { misses: unprovided, changes: [] }
  const entry = knowledge.exceptions.find(({ name }) => name === exception)
  if (entry === undefined) return { misses: unprovided, changes: [] }
  const ends = `allowed only by an exception, which expires ${formatInstant(entry.expiresAfterNs)} (owner ${entry.owner})`
  const isNew = !knowledge.manifests.some((manifest) => manifest.spiffeId === spiffeId)
  return { misses: [ends, ...unprovided], changes: [declare(spiffeId, capability, isNew ? 'new' : 'known')] }
}

function onIdentity(near: Likeness | undefined, capability: Capability, knowledge: Knowledge): string {
  if (near === undefined) return 'unknown identity: no manifest or exception names it or a similar one'
  const declares = requiredBy(near.name, knowledge).includes(capability) ? `, which declares ${capability}` : ''
  return `unknown identity; similar to ${near.name} (${near.how})${declares}`
}

/** The workers that provide or require the capability, or a similar name. */
function onCapability({ spiffeId, capability }: Asked, knowledge: Knowledge): string[] {
  const providers = workersWith(knowledge, 'provided', capability)
  const users = workersWith(knowledge, 'required', capability)
  const mistyped = notKnown(capability, knowledge)
  // A similar name in its own manifest has already been suggested.
  const isNamed = alike(capability, requiredBy(spiffeId, knowledge)) !== undefined
  if (mistyped !== undefined) return [isNamed ? `no manifest names ${capability}` : mistyped]
  const own = knowledge.manifests.find((manifest) => manifest.spiffeId === spiffeId)
  if (own?.provided.includes(capability) === true) {
    return [`the worker provides ${capability} itself, but its manifest does not require it`]
  }
  const named = (verb: string, names: string[]) =>
    names.length === 0 ? `${verb} no worker` : `${verb} ${names.join(', ')}`
  return [`capability known, ${named('provided by', providers)}, ${named('required by', users)}`]
}

/** Exceptions of the same identity that do not cover the capability. */
function otherExceptions({ spiffeId, capability }: Asked, { exceptions }: Knowledge): string[] {
  const others = exceptions.filter((entry) => entry.spiffeId === spiffeId && !entry.all)
  if (others.length === 0 || others.some(({ capabilities }) => capabilities.includes(capability))) return []
  return [`its exception covers only ${others.flatMap(({ capabilities }) => capabilities).join(', ')}`]
}

function otherVerb(capability: string, own: readonly string[]): Likeness | undefined {
  const [, word] = capability.split(':')
  const name = own.find((other) => other.split(':')[1] === word)
  return name === undefined ? undefined : { name, how: 'another verb' }
}

function requiredBy(id: string, { manifests }: Knowledge): readonly Capability[] {
  return manifests.find(({ spiffeId }) => spiffeId === id)?.required ?? []
}

function workerOf(id: string, { manifests }: Knowledge): string {
  return manifests.find(({ spiffeId }) => spiffeId === id)?.workerId ?? id
}
