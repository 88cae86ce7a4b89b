// The settings of the audit log: where it is, when a segment is complete, how long it is kept, and what a full disk means.
import Type, { type Static } from 'typebox'
import { parseBytes } from './byte-size.ts'
import { parseDuration } from './duration.ts'
import { optionalText, placeSettings, readSetting } from './settings.ts'

/** The fields of the schema. */
export const auditSettings = {
  CRANK_AUDIT_DIR: placeSettings.CRANK_AUDIT_DIR,
  CRANK_AUDIT_SYNC: Type.Enum(['fsync', 'write'], {
    default: 'fsync',
    description:
      '`fsync`: a record is on the disk before the call continues. `write`: the kernel has the record, which is lost if the machine fails.',
  }),
  CRANK_AUDIT_SEGMENT_SIZE: Type.String({
    default: '256MiB',
    allowed: 'a size from 64KiB to 4GiB',
    description: 'Size at which the audit log continues in a new segment.',
  }),
  CRANK_AUDIT_SEGMENT_AGE: Type.String({
    default: '1d',
    allowed: 'a duration from 1m to 366d',
    description: 'Age at which the audit log continues in a new segment, at its next record.',
  }),
  CRANK_AUDIT_KEEP: optionalText({
    description:
      'How much of the audit log is kept: an age, a size of all segments and indexes of this controller, or both, such as `400d`, `200GiB` or `400d,200GiB`. ' +
      'The oldest complete segments beyond it are removed. Unset: all of it.',
    allowed: 'an age, a size, or both with a comma between them, such as 400d,200GiB',
  }),
  CRANK_AUDIT_SIGNING_KEY: optionalText({
    description:
      'File with the Ed25519 private key (PEM) that signs the checkpoints of the audit log. Unset: they are not signed, and prove little.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_AUDIT_MIN_FREE: Type.String({
    default: '5%',
    allowed: 'a part of the disk such as 5%, or a size such as 10GiB',
    description: 'With less than this free on the disk of the audit log, CRANK_AUDIT_FULL says what happens.',
  }),
  CRANK_AUDIT_FULL: Type.Enum(['stop', 'drop_unshipped'], {
    default: 'stop',
    description:
      '`stop`: calls are refused with 503 until there is room. `drop_unshipped`: the oldest complete segments are removed, shipped or not, and the removal is recorded.',
  }),
  CRANK_AUDIT_STREAM: Type.Enum(['off', 'on'], {
    default: 'off',
    description:
      '`on`: the records are shipped to the JetStream stream `CRANK-AUDIT` of the mesh, which has those of all its controllers. Needs CRANK_NATS_URL.',
  }),
}

type AuditValues = Static<Type.TObject<typeof auditSettings>>

/** `maxAgeMs`, `maxBytes`: undefined means without a limit. */
export type AuditKeep = { readonly maxAgeMs: number | undefined; readonly maxBytes: number | undefined }

/** A part of the disk, or an amount. */
export type MinFree = { readonly percent: number } | { readonly bytes: number }

export type AuditLimits = {
  readonly limits: { readonly maxBytes: number; readonly maxAgeMs: number }
  readonly keep: AuditKeep
  readonly minFree: MinFree
}

const MIN_SEGMENT = 64 * 1024
const MAX_SEGMENT = 4 * 1024 ** 3
const MINUTE_MS = 60_000
const MAX_AGE_MS = 366 * 86_400_000

/** The parsed values; undefined when one is wrong, which `faults` then says. */
export function parseAuditSettings(values: Partial<AuditValues>, faults: string[]): AuditLimits | undefined {
  const maxBytes = readSetting('CRANK_AUDIT_SEGMENT_SIZE', values.CRANK_AUDIT_SEGMENT_SIZE, parseSegmentSize, faults)
  const maxAgeMs = readSetting('CRANK_AUDIT_SEGMENT_AGE', values.CRANK_AUDIT_SEGMENT_AGE, parseSegmentAge, faults)
  const given = values.CRANK_AUDIT_KEEP
  const keep = given === undefined ? KEEP_ALL : readSetting('CRANK_AUDIT_KEEP', given, parseKeep, faults)
  const minFree = readSetting('CRANK_AUDIT_MIN_FREE', values.CRANK_AUDIT_MIN_FREE, parseMinFree, faults)
  if (maxBytes === undefined || maxAgeMs === undefined || keep === undefined || minFree === undefined) return undefined
  return { limits: { maxBytes, maxAgeMs }, keep, minFree }
}

const KEEP_ALL: AuditKeep = { maxAgeMs: undefined, maxBytes: undefined }

function parseSegmentSize(text: string): number {
  const bytes = parseBytes(text)
  if (bytes < MIN_SEGMENT || bytes > MAX_SEGMENT) throw new Error('must be from 64KiB to 4GiB')
  return bytes
}

function parseSegmentAge(text: string): number {
  const ms = parseDuration(text)
  if (ms < MINUTE_MS || ms > MAX_AGE_MS) throw new Error('must be from 1m to 366d')
  return ms
}

/** An age, a size, or both. @throws {Error} with a sentence */
function parseKeep(text: string): AuditKeep {
  const parts = text.split(',').map((part) => part.trim())
  const ages = parts.filter((part) => /^[\d.]+(?:ms|s|m|h|d)$/.test(part))
  const sizes = parts.filter((part) => !ages.includes(part))
  if (ages.length > 1 || sizes.length > 1) throw new Error(KEEP)
  const [age, size] = [ages[0], sizes[0]]
  const maxAgeMs = age === undefined ? undefined : inWords(KEEP, () => parseDuration(age))
  const maxBytes = size === undefined ? undefined : inWords(KEEP, () => parseBytes(size))
  if ((maxAgeMs ?? Infinity) < MINUTE_MS || (maxBytes ?? Infinity) < MIN_SEGMENT)
    throw new Error('must keep at least 1m, or 64KiB')
  return { maxAgeMs, maxBytes }
}

/** @throws {Error} with a sentence */
function parseMinFree(text: string): MinFree {
  const [, percent] = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text) ?? []
  return percent === undefined ? { bytes: inWords(MIN_FREE, () => parseBytes(text)) } : { percent: Number(percent) }
}

const KEEP = 'must be an age such as 400d, a size such as 200GiB, or both with a comma between them'
const MIN_FREE = 'must be a part of the disk below 100% such as 5%, or a size such as 10GiB'

/** The sentence of a parser names only what it knows. */
function inWords<T>(sentence: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause: unknown) {
    throw new Error(sentence, { cause })
  }
}
