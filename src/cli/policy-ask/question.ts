// The arguments as a question to the policy. Invalid input ends here, with exit code 2.
import { isoTime } from '../../core/iso-time.ts'
import { CapabilityError, makeCapability, parseCapability, type Capability } from '../../core/capability.ts'
import { INSTANT_RULE, parseInstant } from '../../core/instant.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'
import { CliError, EXIT } from '../exit.ts'
import { parseTime } from '../option-values.ts'

const SCHEME = 'spiffe://'

/** A SPIFFE ID, or the name of a worker: `hello_world`, `hello-world` and `worker-hello-world` mean the same. */
export function parseWho(who: string, trustDomain: TrustDomain): SpiffeId {
  const name = who.replaceAll('_', '-').replace(/^worker-(?=.)/, '')
  try {
    return parseSpiffeId(who.includes('/') ? who : `${SCHEME}${trustDomain}/worker/${name}`)
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError)) throw cause
    const hint = `such as: streaming, or ${SCHEME}${trustDomain}/worker/streaming`
    throw new CliError(EXIT.usage, `"${who}" is neither a worker nor a SPIFFE ID: ${cause.message}`, { cause, hint })
  }
}

/** The capability: two words, or one with a colon. */
export type Words = { readonly verb: string; readonly capability?: string | undefined }

/** `convert document_to_pdf` or `convert:document_to_pdf`. @throws {CliError} `usage` for invalid words */
export function parseTarget({ verb, capability }: Words): Capability {
  if (capability === undefined && !verb.includes(':')) {
    throw new CliError(EXIT.usage, `missing required argument 'capability' after "${verb}"`, {
      hint: 'such as: convert document_to_pdf, or convert:document_to_pdf',
    })
  }
  try {
    return capability === undefined ? parseCapability(verb) : makeCapability(verb, capability)
  } catch (cause: unknown) {
    if (!(cause instanceof CapabilityError)) throw cause
    const typed = capability === undefined ? verb : `${verb} ${capability}`
    throw new CliError(EXIT.usage, `"${typed}": ${cause.message}`, {
      cause,
      hint: 'such as: convert document_to_pdf, or convert:document_to_pdf',
    })
  }
}

/** `--at` as Unix nanoseconds: a time in UTC, one with an offset, or a day. @throws {CliError} `usage` */
export function parseAt(at: string | undefined): bigint | undefined {
  if (at === undefined) return undefined
  const ms = parseTime(at)
  const ns = parseInstant(at) ?? (Number.isNaN(ms) ? undefined : parseInstant(isoTime(ms)))
  if (ns === undefined) throw new CliError(EXIT.usage, `--at "${at}": ${INSTANT_RULE}`)
  return ns
}
