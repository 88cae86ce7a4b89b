// `crank audit verify`: proves that no record was changed, removed or inserted, and with a checkpoint that none is missing at the end.
import type { TrustedKey } from '../audit/checkpoint-trust.ts'
import type { OwnCheckpoints } from '../audit/checkpoint-files.ts'
import { segmentsIn } from '../audit/places.ts'
import { openSegment } from '../audit/segment-bytes.ts'
import { verifySegments, type AuditPart, type Verification } from '../audit/verify.ts'
import { loadCheckpoints, loadTrustedKeys, type GivenCheckpoint } from './audit-checkpoints.ts'
import { unreadable, type AuditOptions } from './audit-config.ts'
import { checkpointFaults, knownBy, notCompared, provenBy, type ProofOf } from './audit-proof.ts'
import { logsToVerify, ownCheckpoints, partsSince, type Log } from './audit-verify-logs.ts'
import { printVerified, type Verified } from './audit-verify-print.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { writeJson } from './output.ts'
import { createProgress } from './replay/progress.ts'

type VerifyOptions = AuditOptions & {
  checkpoint?: readonly string[] | undefined
  publicKey?: readonly string[] | undefined
  since?: string | undefined
  json?: true | undefined
}

const MAX_TRIES = 20

type Asked = { readonly given: readonly GivenCheckpoint[]; readonly keys: readonly TrustedKey[] }

/**
 * Prints the result for `files`, which are one chain in this order, or for the log of every slot; `negative` when a chain is
 * broken, its last line is torn, or a checkpoint contradicts it.
 */
export async function verifyAuditFiles(files: readonly string[], options: VerifyOptions): Promise<ExitCode> {
  const given = await loadCheckpoints(options.checkpoint ?? [])
  const keys = await loadTrustedKeys(options.publicKey ?? [])
  const slots = given.map(({ checkpoint }) => checkpoint.slot)
  const logs: Verified[] = []
  for (const log of logsToVerify(files, options, slots)) {
    logs.push(await verifyCurrent(log, options.since, { given, keys }))
  }
  const ok = logs.every((log) => log.ok)
  if (options.output === 'json' || options.json === true) writeJson({ ok, logs })
  else for (const log of logs) printVerified(log, logs.length > 1 ? `slot ${log.slot}: ` : '')
  return ok ? EXIT.ok : EXIT.negative
}

/**
 * The checkpoints are read before the folder: a segment that a running controller begins meanwhile must not look as if it were
 * missing. Begins again when retention removed segments.
 */
async function verifyCurrent(log: Log, since: string | undefined, asked: Asked): Promise<Verified> {
  for (let tries = 1; ; tries++) {
    try {
      const own = ownCheckpoints(log)
      const current = log.folder === undefined ? log : { ...log, parts: segmentsIn(log.folder) }
      const verified = await verifyLog(await partsSince(current, since, Date.now()), own, asked)
      refuseBeyondEnd(verified, since)
      return verified
    } catch (cause: unknown) {
      const isGone = (cause as NodeJS.ErrnoException).code === 'ENOENT'
      if (!isGone || log.folder === undefined || tries === MAX_TRIES) throw unreadable(log.place, cause)
    }
  }
}

/** @throws {CliError} `usage` when nothing of what was asked for could be checked */
function refuseBeyondEnd({ head, file }: Verified, since: string | undefined): void {
  if (since === undefined || !/^\d+$/.test(since) || head === null || Number(since) <= head.seq) return
  throw new CliError(EXIT.usage, `${file} has no record ${since}: it ends with record ${head.seq}`)
}

async function verifyLog(log: Log, own: OwnCheckpoints | undefined, { given, keys }: Asked): Promise<Verified> {
  const { slot, checkpointSlot, place: file, parts, isWhole } = log
  // Named files get all checkpoints that were given; a slot gets its own.
  const meant = given.filter(({ checkpoint }) => slot === null || checkpoint.slot === slot)
  const proof: ProofOf = { slot: checkpointSlot, own, given: meant, keys }
  const progress = createProgress(await bytesOf(parts), process.stderr, performance.now.bind(performance), 'records')
  let bytes = 0
  const onProgress = (count: number, records: number): void => progress.update((bytes += count), records)
  const verification = await verifySegments(parts, { isWhole, known: knownBy(proof), onProgress }).finally(progress.end)
  const { signingKeys = [], faults, ...rest } = verification
  const before = notCompared(proof, rest.continues)
  const more = [...checkpointFaults(proof, signingKeys), ...before.faults]
  const all = [...faults, ...more]
  const [firstBad] = all
  return {
    slot,
    file,
    isWhole,
    segments: parts.length,
    ...without(rest),
    ok: rest.ok && more.length === 0,
    ...(firstBad !== undefined && { firstBad }),
    faults: all,
    faultCount: rest.faultCount + more.length,
    checkpoint: provenBy(proof, verification) ?? null,
    checkpointsNotCompared: before.count,
    ownCheckpointBehind: behind(ownCheckpoints(log)?.newest?.seq, rest.head?.seq),
  }
}

function without({ firstBad: _, provenUpTo: __, ...rest }: Omit<Verification, 'signingKeys' | 'faults'>) {
  return rest
}

/** Read when the check is over: a log that is being written has gone on meanwhile. */
function behind(own: number | undefined, head: number | undefined): number | null {
  return own === undefined || head === undefined ? null : Math.max(0, head - own)
}

/** Only a terminal shows how much is left. */
async function bytesOf(parts: readonly AuditPart[]): Promise<number> {
  if (!process.stderr.isTTY) return 0
  let bytes = 0
  for (const { file } of parts) {
    const segment = await openSegment(file)
    bytes += await segment.size()
    await segment.close()
  }
  return bytes
}
