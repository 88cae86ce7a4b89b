// The policy data, to list and explain its content. It decides nothing: the policy does.
import { parseEnforcement, type Enforcement } from '../../policy/data/enforcement.ts'
import { parseExactJson } from '../../policy/data/exact-json.ts'
import { wellFormedExceptions, type ExceptionEntry } from '../../policy/data/exception-entries.ts'
import { entriesOf, isRecord } from '../../policy/data/json-object.ts'
import type { PlacedFault } from '../../policy/data/fault-place.ts'
import type { AskPolicy } from '../../policy/ask.ts'
import type { Capability } from '../../core/capability.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from '../../core/spiffe-id.ts'
import { manifestsIn, type Manifest } from '../../policy/data/manifests.ts'

export type Knowledge = {
  readonly policyDir: string
  readonly revision: string
  readonly manifests: readonly Manifest[]
  /** Well-formed exceptions, live or expired. */
  readonly exceptions: readonly ExceptionEntry[]
  /** Faults of the others; paths begin with the identity. */
  readonly exceptionFaults: readonly PlacedFault[]
  /** Every identity in exceptions.json, well-formed or not. */
  readonly exceptionIds: readonly SpiffeId[]
  /** The value is the reason, if its author gave one. */
  readonly blocked: {
    readonly identities: ReadonlyMap<string, unknown>
    readonly capabilities: ReadonlyMap<string, unknown>
  }
  readonly enforcement: Enforcement
}

/** Where a command asks: a controller or a folder. */
export type PolicySource = {
  readonly ask: AskPolicy
  readonly knowledge: () => Promise<Knowledge>
}

/** `dataText`: the whole data document with its original numbers. */
export async function parseKnowledge({
  policyDir,
  revision,
  dataText,
}: Readonly<Record<'policyDir' | 'revision' | 'dataText', string>>): Promise<Knowledge> {
  const data = parseExactJson(dataText) as Readonly<Record<string, unknown>>
  const { entries, faults } = await exceptionsIn(data)
  const blocked = isRecord(data['blocked']) ? data['blocked'] : {}
  return {
    policyDir,
    revision,
    manifests: manifestsIn({ dataText }),
    exceptions: entries,
    exceptionFaults: faults,
    exceptionIds: entriesOf(data['exceptions']).flatMap(([id]) => spiffeIdOf(id)),
    blocked: {
      identities: new Map(entriesOf(blocked['identities'])),
      capabilities: new Map(entriesOf(blocked['capabilities'])),
    },
    enforcement: parseEnforcement(data['enforcement']),
  }
}

/** Only where one is malformed, the schemas are loaded to say why: that takes longer than an answer of the controller. */
async function exceptionsIn(
  data: Readonly<Record<string, unknown>>,
): Promise<{ entries: readonly ExceptionEntry[]; faults: readonly PlacedFault[] }> {
  const { exceptions = {} } = data
  const entries = wellFormedExceptions(exceptions, maxDays(data))
  if (entries !== undefined) return { entries, faults: [] }
  const { parseExceptions } = await import('../../policy/data/exceptions.ts')
  return parseExceptions(exceptions, maxDays(data))
}

/** Every identity in the data, sorted. */
export function knownIdentities({ manifests, exceptionIds }: Knowledge): SpiffeId[] {
  return [...new Set([...manifests.map(({ spiffeId }) => spiffeId), ...exceptionIds])].sort()
}

/** Every capability in the data, sorted. */
export function knownCapabilities({ manifests, exceptions }: Knowledge): Capability[] {
  const declared = manifests.flatMap(({ required, provided }) => [...required, ...provided])
  return [...new Set([...declared, ...exceptions.flatMap(({ capabilities }) => capabilities)])].sort()
}

/** The workers whose manifests contain the capability in that list. */
export function workersWith(
  { manifests }: Pick<Knowledge, 'manifests'>,
  list: 'required' | 'provided',
  capability: Capability,
): string[] {
  return manifests.filter((manifest) => manifest[list].includes(capability)).map(({ workerId }) => workerId)
}

function maxDays(data: Readonly<Record<string, unknown>>): { maxDays?: number } {
  const limits = data['exception_limits']
  const days = isRecord(limits) ? limits['max_days'] : undefined
  return typeof days === 'number' ? { maxDays: days } : {}
}

function spiffeIdOf(text: string): SpiffeId[] {
  try {
    return [parseSpiffeId(text)]
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError)) throw cause
    return []
  }
}
