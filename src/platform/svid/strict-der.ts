// Refuses certificates with invalid DER that some parsers accept: OpenSSL and @peculiar/x509 read them, go-spiffe refuses
// them. A certificate that the two sides of a connection could read differently must not pass.
import { readTbs } from './certificate-der.ts'
import { readAll, readSequence, TAG, type Value } from './der.ts'
import { NAME } from './san.ts'

const EXTENSIONS = 0xa3
const VERSION_3 = 2
const SUBJECT_ALT_NAME = '551d11'
/** The extensions that we read, whose values are DER too: key usage, names, constraints, extended key usage. */
const READ = new Set([SUBJECT_ALT_NAME, '551d0f', '551d13', '551d1e', '551d25'])

/** @throws {Error} naming what is wrong */
export function checkDer(certificate: Buffer): void {
  readAll(certificate).forEach(checkValue)
  const { version, serial, rest } = readTbs(certificate)
  checkVersion(version, rest)
  if (((serial.content[0] ?? 0) & 0x80) !== 0) throw new Error('the serial number is negative')
  for (const { content } of rest.filter(({ tag }) => tag === EXTENSIONS)) {
    for (const extension of readSequence(content)) checkExtension(readAll(extension.content))
  }
}

function checkVersion(version: Value | undefined, rest: readonly Value[]): void {
  const [number] = version === undefined ? [] : readAll(version.content)
  const isVersion3 = number?.tag === TAG.integer && number.content.length === 1 && number.content[0] === VERSION_3
  // Extensions exist since version 3, which is the latest version.
  if (!isVersion3 && (version !== undefined || rest.length > 0)) throw new Error('the version is not 3')
}

function checkExtension([id, ...rest]: readonly Value[]): void {
  const value = rest.at(-1)
  if (id === undefined || value?.tag !== TAG.octetString) throw new Error('an extension has no value')
  const oid = id.content.toString('hex')
  if (!READ.has(oid)) return
  readAll(value.content).forEach(checkValue)
  if (oid === SUBJECT_ALT_NAME) readSequence(value.content).forEach(checkName)
}

function checkName({ tag, content }: Value): void {
  if (tag === NAME.ip && content.length !== 4 && content.length !== 16) {
    throw new Error('an IP address has neither 4 nor 16 bytes')
  }
}

/** Checks the three types that have one valid encoding and several invalid ones that parsers accept. */
function checkValue({ tag, content, isConstructed }: Value): void {
  if (isConstructed) readAll(content).forEach(checkValue)
  else if (tag === TAG.boolean) checkBoolean(content)
  else if (tag === TAG.integer) checkInteger(content)
  else if (tag === TAG.bitString) checkBitString(content)
}

function checkBoolean(content: Buffer): void {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw new Error('a boolean is not minimal')
}

function checkInteger(content: Buffer): void {
  const [first, second = 0] = content
  const isPadded = content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
  if (content.length === 0 || isPadded) throw new Error('an integer is not minimal')
}

function checkBitString(content: Buffer): void {
  const unused = content[0] ?? 8
  const last = content.length > 1 ? (content.at(-1) ?? 0) : 0
  if (unused > 7 || (content.length === 1 && unused !== 0) || (last & ((1 << unused) - 1)) !== 0) {
    throw new Error('a bit string is not minimal')
  }
}
