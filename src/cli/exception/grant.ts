// `crank exception grant`: adds an entry, or replaces an expired one.
import { isoTime } from '../../core/iso-time.ts'
import { CapabilityError, parseCapability, type Capability } from '../../core/capability.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { exceptionId, NS_PER_MS } from '../../policy/data/exception-entries.ts'
import { exceptionFaults } from '../../policy/data/exceptions.ts'
import { parseDuration } from '../../platform/duration.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson } from '../output.ts'
import { didYouMean } from '../policy-ask/likeness.ts'
import { parseWho } from '../policy-ask/question.ts'
import { readExceptions, writeExceptions, type EditOptions, type ExceptionsFile } from './exceptions-file.ts'
import { formatEntry, setMember } from './json-edit.ts'
import { trustDomainOf } from '../places.ts'

type GrantOptions = EditOptions & {
  who: string
  cap?: string[] | undefined
  all?: true | undefined
  for: string
  reason: string
  owner: string
  replace?: true | undefined
}

type Entry = Readonly<Record<string, unknown>> & { readonly expires_after: bigint; readonly created_at: string }

const DAY_MS = 86_400_000

/** Checks and writes; writes nothing if there is a fault. */
export async function grantException(options: GrantOptions): Promise<ExitCode> {
  const who = readWho(options.who)
  const capabilities = readCapabilities(options)
  const file = await readExceptions(options)
  const entry = makeEntry(options, capabilities, file, Date.now())
  refuseOverLive(who, file, options)
  warn(who, capabilities, file)
  await writeExceptions(file, setMember(file.text, who, formatEntry(entry)), options)
  const names = (capabilities ?? ['*']).map((scope) => `${who}#${scope}`)
  const expiresAt = isoTime(Number(entry.expires_after / NS_PER_MS))
  if (options.output === 'json') {
    const exceptions = names.map((name) => ({ id: exceptionId(name), name, expires_at: expiresAt }))
    writeJson({ file: file.path, written: options.dryRun !== true, exceptions })
  } else say(`${paint('green', '√', process.stderr)} ${names.join(', ')} until ${expiresAt}`)
  return EXIT.ok
}

/** `--who` as a SPIFFE ID of CRANK_TRUST_DOMAIN, or unchanged. @throws {CliError | ConfigError} */
export function readWho(who: string): SpiffeId {
  return parseWho(who, trustDomainOf({}))
}

/** `--cap` without duplicates, in alphabetical order. @throws {CliError} `usage` */
export function parseCaps(caps: readonly string[]): Capability[] {
  const parsed = caps.map((cap) => {
    try {
      return parseCapability(cap)
    } catch (cause: unknown) {
      if (!(cause instanceof CapabilityError)) throw cause
      throw new CliError(EXIT.usage, `--cap "${cap}": ${cause.message}`, { cause, hint: 'such as: store:zettel' })
    }
  })
  return [...new Set(parsed)].sort()
}

/** Undefined: everything. */
function readCapabilities({ all, cap }: GrantOptions): Capability[] | undefined {
  if ((all === true) === (cap !== undefined)) {
    throw new CliError(EXIT.usage, 'give the capabilities to allow: --cap verb:name, once or several times, or --all')
  }
  return cap && parseCaps(cap)
}

// Starts at a whole second, as created_at does: the longest lifetime is counted from there.
function makeEntry(
  options: GrantOptions,
  capabilities: Capability[] | undefined,
  file: ExceptionsFile,
  nowMs: number,
): Entry {
  const startMs = Math.trunc(nowMs / 1000) * 1000
  const lastingMs = readDuration(options.for, file.policy.maxExceptionDays)
  const scope = capabilities === undefined ? { temporary_allow_all: true } : { capabilities }
  const entry = {
    ...scope,
    expires_after: BigInt(startMs + lastingMs) * NS_PER_MS,
    reason: options.reason,
    owner: options.owner,
    created_at: new Date(startMs).toISOString().replace('.000Z', 'Z'),
  }
  const [fault] = exceptionFaults(entry, { maxDays: file.policy.maxExceptionDays })
  if (fault === undefined) return entry
  throw new CliError(EXIT.usage, `--${fault.path.replace(/\W.*/, '')}: ${fault.reason}`)
}

function readDuration(text: string, maxDays: number): number {
  let ms: number
  try {
    ms = parseDuration(text)
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `--for "${text}": ${cause instanceof Error ? cause.message : ''}`, { cause })
  }
  if (ms < 1000) throw new CliError(EXIT.usage, `--for "${text}": must be at least 1s`)
  if (ms <= maxDays * DAY_MS) return ms
  const hint = 'the longest lifetime is exception_limits.max_days of data/enforcement.json'
  throw new CliError(EXIT.usage, `--for "${text}": an exception may last ${maxDays} days at most`, { hint })
}

function refuseOverLive(who: SpiffeId, { policy, entries }: ExceptionsFile, { replace }: GrantOptions): void {
  if (!Object.hasOwn(entries, who) || replace === true) return
  const nowNs = BigInt(Date.now()) * NS_PER_MS
  const live = policy.exceptions.filter((entry) => entry.spiffeId === who && entry.expiresAfterNs > nowNs)
  const isKnown = policy.exceptions.some(({ spiffeId }) => spiffeId === who)
  // An expired entry may be replaced; a malformed one may be a mistake that a person should check.
  if (isKnown && live.length === 0) return
  const what = isKnown ? `a live exception (${live.map(({ name }) => name).join(', ')})` : 'a malformed exception'
  throw new CliError(EXIT.negative, `${who} already has ${what}`, {
    hint: 'an identity has one entry with one expiry; replace it with --replace',
  })
}

function warn(who: SpiffeId, capabilities: readonly Capability[] | undefined, { policy }: ExceptionsFile): void {
  const mark = paint('yellow', '‼', process.stderr)
  if (capabilities === undefined) say(`${mark} --all allows every call, including capabilities that do not exist yet`)
  for (const capability of capabilities ?? []) {
    const { knownCapabilities: known } = policy
    if (!known.has(capability)) say(`${mark} no manifest names ${capability}${didYouMean(capability, known)}`)
  }
  if (!policy.knownIdentities.has(who)) say(`${mark} ${who} has no manifest`)
}
