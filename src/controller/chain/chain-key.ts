// The key of the mesh for x-crank-chain: a private text file with one key per line. The first signs, all of them verify, so
// that a key can be replaced without a refused call. Made at the first start if no file is configured.
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../../platform/setting-fault.ts'

export type ChainKeys = readonly [KeyObject, ...KeyObject[]]

/** A file that holds no usable keys; `message` completes `<name>=<file>: `. */
class ChainKeyError extends Error {
  override readonly name = 'ChainKeyError'
}

/** 32 bytes in base64 without padding. */
const MIN_CHARS = 43
const MAX_CHARS = 1024
const MAX_KEYS = 8
const MAX_BYTES = 16 * 1024
const OTHERS = 0o007
const CURE = 'write one with: openssl rand -base64 32'

/** Reads the keys. @throws {ChainKeyError | Error} */
export async function loadChainKeys(file: string): Promise<ChainKeys> {
  await using handle = await open(file, 'r')
  const { mode, size } = await handle.stat()
  if ((mode & OTHERS) !== 0) {
    throw new ChainKeyError(`every user of this machine can open it; run chmod 600 ${file}, and replace the key`)
  }
  if (size > MAX_BYTES) throw new ChainKeyError(`is larger than ${MAX_BYTES} bytes; ${CURE}`)
  return parseChainKeys(await handle.readFile('latin1'))
}

/** One key per line; empty lines do not count. @throws {ChainKeyError} */
function parseChainKeys(text: string): ChainKeys {
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.flatMap((line, at) => (line === '' ? [] : [toKey(line, at + 1)]))
  const [first, ...others] = keys
  if (first === undefined) throw new ChainKeyError(`has no key; ${CURE}`)
  if (keys.length > MAX_KEYS) throw new ChainKeyError(`has ${keys.length} keys; at most ${MAX_KEYS} are allowed`)
  return [first, ...others]
}

/** Makes the file with a new key, unless there is one. */
export async function ensureChainKey(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const key = `${randomBytes(32).toString('base64')}\n`
  await writeFile(file, key, { flag: 'wx', mode: 0o600, flush: true }).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  })
}

/** The fault as a sentence about the setting. */
export function chainKeyFault(name: string, file: string, cause: unknown): ConfigError {
  return new ConfigError([`${name}=${file}: ${reasonOf(cause)}`])
}

/** Why the file cannot be used. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof ChainKeyError) return cause.message
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return `no such file; ${CURE}`
  return code === undefined ? String(cause) : `cannot be read (${code})`
}

function toKey(line: string, number: number): KeyObject {
  if (!/^[\x21-\x7e]+$/.test(line)) {
    throw new ChainKeyError(`line ${number} is not one word of printable characters; ${CURE}`)
  }
  if (line.length < MIN_CHARS) {
    throw new ChainKeyError(
      `the key in line ${number} has ${line.length} characters, not at least ${MIN_CHARS}; ${CURE}`,
    )
  }
  if (line.length > MAX_CHARS)
    throw new ChainKeyError(`the key in line ${number} is longer than ${MAX_CHARS} characters`)
  return createSecretKey(line, 'latin1')
}
