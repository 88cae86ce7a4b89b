// The payload of `crank invoke`: JSON from the command line, a file or stdin, with members that are whole files.
import { isUtf8 } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { CliError, EXIT } from './exit.ts'

export type PayloadOptions = {
  readonly data?: string | undefined
  /** `member=path` each: the file in base64. */
  readonly file?: readonly string[] | undefined
  /** `member=path` each: the file as text. */
  readonly textFile?: readonly string[] | undefined
}
type Member = { readonly flag: string; readonly name: string; readonly path: string }

const MEMBER = /^([^=]+)=(.+)$/s

/** Undefined without a payload. @throws {CliError} `usage`, naming the option and its valid values */
export async function readPayload({ data, file = [], textFile = [] }: PayloadOptions): Promise<unknown> {
  const payload = data === undefined ? undefined : parsePayload(await readData(data))
  const members = [
    ...file.map((given) => memberOf('--file', given)),
    ...textFile.map((given) => memberOf('--text-file', given)),
  ]
  if (members.length === 0) return payload
  const base = payload ?? {}
  if (!isObject(base))
    throw new CliError(EXIT.usage, '--data must be a JSON object when --file or --text-file adds members')
  const whole = new Map(Object.entries(base))
  for (const member of members) {
    if (whole.has(member.name))
      throw new CliError(EXIT.usage, `duplicate member ${JSON.stringify(member.name)}: give it once`)
    whole.set(member.name, await readMember(member))
  }
  return Object.fromEntries(whole)
}

/** JSON as a value; undefined for invalid JSON. */
export function parseJson(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}

async function readData(data: string): Promise<string> {
  if (data === '-') return text(process.stdin)
  if (!data.startsWith('@')) return data
  const path = data.slice(1)
  return (await readBytes(path, `--data ${data}`)).toString('utf8')
}

function parsePayload(content: string): unknown {
  const value = parseJson(content)
  if (value === undefined) throw new CliError(EXIT.usage, '--data must be JSON, @file with JSON in it, or - for stdin')
  return value
}

function memberOf(flag: string, given: string): Member {
  const [, name, path] = MEMBER.exec(given) ?? []
  if (name === undefined || path === undefined) {
    throw new CliError(EXIT.usage, `${flag} ${given}: must be member=path, such as document_data=report.docx`)
  }
  return { flag, name, path }
}

async function readMember({ flag, name, path }: Member): Promise<string> {
  const bytes = await readBytes(path, `${flag} ${name}=${path}`)
  if (flag === '--file') return bytes.toString('base64')
  if (!isUtf8(bytes))
    throw new CliError(EXIT.usage, `${flag} ${name}=${path}: not text in UTF-8; use --file, which sends base64`)
  return bytes.toString('utf8')
}

async function readBytes(path: string, option: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `${option}: the file cannot be read`, { cause })
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
