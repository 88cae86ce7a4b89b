// Which checkpoints a log is compared with, and what each is worth.
import type { OwnCheckpoints } from '../audit/checkpoint-files.ts'
import { standingOf, trustedKey, type Standing, type TrustedKey } from '../audit/checkpoint-trust.ts'
import type { Checkpoint } from '../audit/checkpoint.ts'
import type { Fault, FaultKind } from '../audit/chain-check.ts'
import type { KnownRecord } from '../audit/proof.ts'
import { verifierKey } from '../audit/signed-note.ts'
import type { Verification } from '../audit/verify.ts'
import type { GivenCheckpoint } from './audit-checkpoints.ts'

type CheckpointFaultKind =
  | 'checkpoint_unsigned'
  | 'checkpoint_untrusted'
  | 'checkpoint_forged'
  | 'checkpoint_foreign'
  | 'checkpoint_missing'
  | 'checkpoint_not_compared'

export type ReportedFault = Omit<Fault, 'why'> & { readonly why: FaultKind | CheckpointFaultKind }

/** `isOwn`: from the log's own folder. */
type Witness = GivenCheckpoint & { readonly isOwn: boolean }

/** `key`: the verifier key of a signature that is right. `trust`: `given` by --public-key, or only `named` by the log itself. */
export type Proven = {
  readonly seq: number
  readonly time: string
  readonly source: string
  readonly isOwn: boolean
  readonly key: string | null
  readonly trust: 'given' | 'named' | 'none'
}

/** For one log. `slot` null: its slot is not known. */
export type ProofOf = {
  readonly slot: number | null
  readonly own: OwnCheckpoints | undefined
  readonly given: readonly GivenCheckpoint[]
  readonly keys: readonly TrustedKey[]
}

/** The newest checkpoint of the log itself, and those that were given for it. */
function witnessesOf({ own, given }: ProofOf): Witness[] {
  const newest = own?.newest
  const owns = newest === undefined ? [] : [{ checkpoint: newest, source: OWN, isOwn: true }]
  return [...given.map((one) => ({ ...one, isOwn: false })), ...owns]
}

const OWN = "the log's own folder"

/** The records that must be there. With keys, only those that are signed; but a contradiction in the log's own history counts. */
export function knownBy(proof: ProofOf): KnownRecord[] {
  const good = witnessesOf(proof).filter((witness) => faultOf(witness, proof) === undefined)
  const history = proof.own?.all.map((checkpoint) => ({ checkpoint, source: OWN })) ?? []
  const newest = proof.own?.newest
  const old = history.filter(({ checkpoint }) => !isSame(checkpoint, newest))
  return [...old, ...good].map(({ checkpoint, source }) => ({
    seq: checkpoint.seq,
    hash: checkpoint.hash,
    source: `the checkpoint of ${checkpoint.time} (${source})`,
  }))
}

/** The faults of the checkpoints themselves. `named`: the verifier keys that the log names. */
export function checkpointFaults(proof: ProofOf, named: readonly string[]): ReportedFault[] {
  const witnesses = witnessesOf(proof)
  const faults = witnesses.flatMap((witness) => faultOf(witness, proof) ?? forgeryOf(witness, proof, named) ?? [])
  const isMissing = proof.keys.length > 0 && !witnesses.some((witness) => faultOf(witness, proof) === undefined)
  if (!isMissing || faults.length > 0) return faults
  const message = 'there is no checkpoint that a given key has signed, so nothing proves the end of the log'
  return [{ file: '', line: 0, seq: 0, why: 'checkpoint_missing', message }]
}

/**
 * The given checkpoints of records before the first one that was read, `continues`: nothing could be compared with them. A fault only
 * where that is so of all that were given; a newer one covers the records of an older one.
 */
export function notCompared(
  proof: ProofOf,
  continues: Verification['continues'],
): { readonly count: number; readonly faults: readonly ReportedFault[] } {
  const good = proof.given.filter((one) => faultOf({ ...one, isOwn: false }, proof) === undefined)
  const before = good.filter(({ checkpoint: { seq, hash } }) => {
    return continues !== undefined && seq <= continues.seq && !isSame({ seq, hash }, continues)
  })
  const newest = before.toSorted((a, b) => a.checkpoint.seq - b.checkpoint.seq).at(-1)
  if (newest === undefined || continues === undefined || before.length < good.length) {
    return { count: before.length, faults: [] }
  }
  const { checkpoint, source } = newest
  const begins = `what was read begins with record ${continues.seq + 1}`
  const message = `the checkpoint of ${checkpoint.time} (${source}) was not compared: it names record ${checkpoint.seq}, and ${begins}`
  return {
    count: before.length,
    faults: [{ file: '', line: 0, seq: checkpoint.seq, why: 'checkpoint_not_compared', message }],
  }
}

/** What the checkpoint that the verification found in the log is worth. */
export function provenBy(proof: ProofOf, { provenUpTo, signingKeys = [] }: Verification): Proven | undefined {
  if (provenUpTo === undefined) return undefined
  const all = [
    ...witnessesOf(proof),
    ...(proof.own?.all ?? []).map((checkpoint) => ({ checkpoint, source: OWN, isOwn: true })),
  ]
  const found = all.find(({ checkpoint }) => isSame(checkpoint, provenUpTo))
  if (found === undefined) return undefined
  const { checkpoint, source, isOwn } = found
  const { seq, time } = checkpoint
  const given = keyOf(standingOf(checkpoint, proof.keys))
  const key = given ?? keyOf(standingOf(checkpoint, keysIn(signingKeys)))
  return { seq, time, source, isOwn, key, trust: given !== null ? 'given' : key !== null ? 'named' : 'none' }
}

function faultOf({ checkpoint, source, isOwn }: Witness, { slot, own, keys }: ProofOf): ReportedFault | undefined {
  const { origin, time } = checkpoint
  const what = `the checkpoint of ${time} (${source})`
  if (slot !== null && checkpoint.slot !== slot)
    return fault(checkpoint, 'foreign', `${what} is of another log: ${origin}`)
  const { standing } = standingOf(checkpoint, keys)
  if (keys.length > 0)
    return standing === 'signed' ? undefined : fault(checkpoint, standing, `${what} ${WHY[standing]}`)
  const expected = own?.newest?.origin
  if (isOwn || expected === undefined || expected === origin) return undefined
  return fault(checkpoint, 'foreign', `${what} is of another log: ${origin}, and not ${expected}`)
}

/** Without given keys: a signature that claims to be by the key that the log names, and is not. */
function forgeryOf(
  { checkpoint, source }: Witness,
  { keys }: ProofOf,
  named: readonly string[],
): ReportedFault | undefined {
  if (keys.length > 0 || standingOf(checkpoint, keysIn(named)).standing !== 'forged') return undefined
  return fault(checkpoint, 'forged', `the checkpoint of ${checkpoint.time} (${source}) ${WHY.forged}`)
}

type BadStanding = Exclude<Standing['standing'], 'signed'>

const WHY: Readonly<Record<BadStanding, string>> = {
  unsigned: 'is not signed',
  untrusted: 'is not signed by a key that was given',
  forged: 'has a signature that does not fit: it was forged or changed',
  foreign: 'is of another log than its key signs for',
}

function fault({ seq }: Checkpoint, standing: BadStanding, message: string): ReportedFault {
  return { file: '', line: 0, seq, why: `checkpoint_${standing}`, message }
}

/** Keys that the log names: one that cannot be read counts as none. */
function keysIn(named: readonly string[]): TrustedKey[] {
  return named.flatMap((text) => {
    try {
      return [trustedKey(text)]
    } catch {
      return []
    }
  })
}

function keyOf(standing: Standing): string | null {
  return standing.standing === 'signed' ? verifierKey(standing.by) : null
}

function isSame(one: { seq: number; hash: string }, other: { seq: number; hash: string } | undefined): boolean {
  return one.seq === other?.seq && one.hash === other.hash
}
