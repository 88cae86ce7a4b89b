// The policy data, to list and explain its content. It decides nothing: the policy does.
import { parseEnforcement, type Enforcement } from '../../policy/data/enforcement.ts'
import { parseExactJson } from '../../policy/data/exact-json.ts'
import { parseExceptions, type ExceptionEntry } from '../../policy/data/exceptions.ts'
import { entriesOf, isRecord } from '../../policy/data/json-object.ts'
import type { PlacedFault } from '../../policy/data/schema-faults.ts'
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

/** `dataText`: the whole data document with its original numbers. */
export function parseKnowledge({
  policyDir,
  revision,
  dataText,
}: Readonly<Record<'policyDir' | 'revision' | 'dataText', string>>): Knowledge {
  const data = parseExactJson(dataText) as Readonly<Record<string, unknown>>
  const { entries, faults } = parseExceptions(data['exceptions'] ?? {}, maxDays(data))
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
