// Loads what `crank audit verify` compares a log with: checkpoints from files and URLs, and the keys that must have signed them.
import { readFile } from 'node:fs/promises'
import { trustedKey, type TrustedKey } from '../audit/checkpoint-trust.ts'
import { checkpointsIn, type Checkpoint } from '../audit/checkpoint.ts'
import { CliError, EXIT, messageOf } from './exit.ts'
import { requestHttp } from './http-request.ts'

/** `source`: the file or URL. */
export type GivenCheckpoint = { readonly checkpoint: Checkpoint; readonly source: string }

const TIMEOUT_MS = 10_000
const MAX_BYTES = 64 * 1024 * 1024
const HINT =
  'give a file of checkpoints, such as <audit-dir>/<slot>/checkpoint, or a URL such as http://127.0.0.1:9001/health'

/** @throws {CliError} `usage` when a source has no checkpoint, or something else; `unreachable` when a URL does not answer */
export async function loadCheckpoints(sources: readonly string[]): Promise<GivenCheckpoint[]> {
  const loaded = await Promise.all(sources.map(loadFrom))
  return loaded.flat()
}

/** @throws {CliError} `usage` when one is no public Ed25519 key */
export async function loadTrustedKeys(values: readonly string[]): Promise<TrustedKey[]> {
  return Promise.all(values.map(loadKey))
}

async function loadFrom(source: string): Promise<GivenCheckpoint[]> {
  const text = /^https?:\/\//.test(source) ? await textAt(source) : await textOf(source)
  const { found, broken } = checkpointsIn(text)
  if (found.length === 0) throw new CliError(EXIT.usage, `${source}: there is no checkpoint in it`, { hint: HINT })
  if (broken > 0)
    throw new CliError(EXIT.usage, `${source}: there is something in it that is no checkpoint`, { hint: HINT })
  return found.map((checkpoint) => ({ checkpoint, source }))
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CliError(EXIT.usage, `${file}: cannot be read: ${messageOf(cause)}`, { cause, hint: HINT })
  })
}

/** Whatever the status: a controller in trouble answers 503, and has its checkpoint in the answer. */
async function textAt(url: string): Promise<string> {
  try {
    const { text } = await requestHttp(url, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES })
    return text
  } catch (cause: unknown) {
    throw new CliError(EXIT.unreachable, `no checkpoint from ${url}: ${messageOf(cause)}`, { cause })
  }
}

/** A verifier key has plus signs, which the name of a file can have too: what looks like one is one. */
async function loadKey(value: string): Promise<TrustedKey> {
  const isKey = /^[^+]+\+[0-9a-f]{8}\+/.test(value)
  try {
    return trustedKey(isKey ? value : await readFile(value, 'utf8'))
  } catch (cause: unknown) {
    const hint = 'give a verifier key (<name>+<key id>+<key>), or a file with one or with the public key in PEM'
    throw new CliError(EXIT.usage, `--public-key ${value}: ${messageOf(cause)}`, { cause, hint })
  }
}
