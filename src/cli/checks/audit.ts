// The audit logs: they exist, writable, private, and each with an intact chain.
import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { filesOf, segmentsIn, type AuditChain } from '../../audit/places.ts'
import { verifySegments, type AuditPart } from '../../audit/verify.ts'
import type { AuditLogs } from '../audit-config.ts'
import { knownBy, type ProofOf } from '../audit-proof.ts'
import { logOf, ownCheckpoints } from '../audit-verify-logs.ts'
import { describeFault } from '../audit-verify-print.ts'
import { messageOf } from '../exit.ts'
import { checkDisk } from './audit-disk.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const OTHERS = 0o077
const MAX_TRIES = 20
/** A compressed segment counts with its compressed size. */
const MAX_CHECKED_BYTES = 256 * 1024 * 1024

export async function checkAudit(logs: () => AuditLogs, env: NodeJS.ProcessEnv, now: () => number): Promise<Finding[]> {
  try {
    const findings: Finding[] = []
    const { chains, name } = logs()
    if (chains.length === 0) findings.push(notYet(name))
    for (const chain of chains) findings.push(...(await checkSlot(chain)))
    if (chains.length > 0) findings.push(await checkDisk(chains, env, now))
    return findings
  } catch (cause: unknown) {
    return [unusable(cause)]
  }
}

/** The newest segment is the one that is written. Begins again when a running controller compressed or removed one meanwhile. */
async function checkSlot(chain: AuditChain, tries = MAX_TRIES): Promise<Finding[]> {
  const newest = filesOf(chain).at(-1) ?? chain.place
  try {
    await access(newest, constants.R_OK)
    await access(dirname(newest), constants.W_OK)
    const open: string[] = []
    for (const file of filesOf(chain)) if (((await stat(file)).mode & OTHERS) !== 0) open.push(file)
    const privacy = open.map((file) =>
      warn('audit file', `${file} is accessible to other users`, `chmod go-rwx ${file}`),
    )
    return [...privacy, ...(await checkChain(chain))]
  } catch (cause: unknown) {
    const isGone = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (isGone && tries > 1 && logOf(chain).folder !== undefined)
      return checkSlot({ ...chain, segments: segmentsIn(chain.place) }, tries - 1)
    return [unusable(cause)]
  }
}

function notYet(name: string): Finding {
  const cure = 'a controller creates it; for another place set CRANK_AUDIT_DIR'
  return warn('audit file', `${name} does not exist yet`, cure)
}

function unusable(cause: unknown): Finding {
  return fail('audit file', messageOf(cause), 'run as the user of the controller, or fix the permissions')
}

async function checkChain(chain: AuditChain): Promise<Finding[]> {
  const { place: file, slot } = chain
  const log = logOf(chain)
  // Before the folder: what a running controller writes meanwhile must not look as if it were missing.
  const proof: ProofOf = { slot, own: ownCheckpoints(log), given: [], keys: [] }
  const segments = log.folder === undefined ? chain.segments : segmentsIn(log.folder)
  const parts = await newestOf({ slot, segments })
  const older = segments.length - parts.length
  const isWhole = slot !== null && older === 0
  const verification = await verifySegments(parts, { isWhole, known: knownBy(proof) })
  const fault = describeFault(verification)
  if (fault !== undefined) {
    if (verification.firstBad === undefined)
      return [warn('audit chain', `${file}: ${fault}`, 'the next start repairs it')]
    return [
      fail('audit chain', `${file}: ${fault}`, 'keep the files as evidence; crank audit verify lists every fault'),
    ]
  }
  const unread =
    older === 0
      ? ''
      : `; only the newest ${parts.length} of ${segments.length} segments were read: crank audit verify reads all`
  return [
    ok('audit chain', `${file}: ${verification.records} records, chain intact${unread}`),
    ...checkSignature(file, proof),
  ]
}

/** The newest segments, as many as are read in a few seconds. */
async function newestOf({ slot, segments }: Omit<AuditChain, 'place'>): Promise<AuditPart[]> {
  const parts: AuditPart[] = []
  let bytes = 0
  for (const segment of segments.toReversed()) {
    bytes += (await stat(segment.file)).size
    if (parts.length > 0 && bytes > MAX_CHECKED_BYTES) break
    parts.unshift(slot === null ? { file: segment.file } : segment)
  }
  return parts
}

/** A log of an older version has no checkpoints until a controller of this one has run. */
function checkSignature(file: string, { own }: ProofOf): Finding[] {
  const newest = own?.newest
  if (newest === undefined || newest.note !== undefined) return []
  const cure = 'make a key with crank audit key --out <file>, and set CRANK_AUDIT_SIGNING_KEY to it'
  return [warn('audit checkpoints', `${file}: the checkpoints are not signed, so they prove little`, cure)]
}
