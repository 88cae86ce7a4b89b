// What is blocked: a SPIFFE ID, a capability or a certificate, in the form of blocked.json.
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { CapabilityError, parseCapability } from '../../core/capability.ts'
import { parseSpiffeId, SpiffeIdError } from '../../core/spiffe-id.ts'
import type { BlockTarget } from '../../policy/data/block-entry.ts'
import { CliError, EXIT } from '../exit.ts'

const FORMS =
  'give a SPIFFE ID, a capability (verb:name), or a certificate: sha256:<fingerprint>, <issuer key id>:<serial number>, or its PEM file'
const FINGERPRINT = /^sha256:[0-9a-f]{64}$/
/** Key ids have 20 bytes or more; no verb of a capability looks like one. */
const ISSUER_AND_SERIAL = /^[0-9a-f]{40,128}:[0-9a-f]{1,64}$/
const PEM_FILE = /\.(pem|crt|cer)$/i

/** @throws {CliError} `usage` for anything else, or a file that has no certificate */
export async function parseBlockTarget(text: string): Promise<BlockTarget> {
  if (text.startsWith('spiffe://')) return { section: 'identities', name: inWords(text, () => parseSpiffeId(text)) }
  const hex = text.toLowerCase()
  if (hex.startsWith('sha256:')) return certificate(text, `sha256:${hex.slice('sha256:'.length).replaceAll(':', '')}`)
  if (ISSUER_AND_SERIAL.test(hex)) return { section: 'certificates', name: hex }
  if (text.includes('/') || PEM_FILE.test(text)) return fromFile(text)
  if (text.includes(':')) return { section: 'capabilities', name: inWords(text, () => parseCapability(text)) }
  throw new CliError(EXIT.usage, `"${text}" names nothing that can be blocked`, { hint: FORMS })
}

function certificate(text: string, name: string): BlockTarget {
  if (FINGERPRINT.test(name)) return { section: 'certificates', name }
  throw new CliError(EXIT.usage, `"${text}": a fingerprint must have 64 hex digits`, {
    hint: 'crank cert inspect <file> prints it as sha256',
  })
}

/** The first certificate of a PEM file is that of the peer; those of its CA follow. */
async function fromFile(file: string): Promise<BlockTarget> {
  const pem = await readFile(file).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'no such file' : `cannot be read (${code ?? String(cause)})`
    throw new CliError(EXIT.usage, `${file}: ${why}`, { cause, hint: FORMS })
  })
  try {
    const { fingerprint256 } = new X509Certificate(pem)
    return { section: 'certificates', name: `sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}` }
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `${file} has no certificate (PEM)`, { cause, hint: FORMS })
  }
}

function inWords(text: string, parse: () => string): string {
  try {
    return parse()
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError) && !(cause instanceof CapabilityError)) throw cause
    throw new CliError(EXIT.usage, `"${text}": ${cause.message}`, { cause, hint: FORMS })
  }
}
