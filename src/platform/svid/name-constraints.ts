// Name constraints of an issuer (RFC 5280, 4.2.1.10), evaluated on every path that we find: OpenSSL evaluates them too, but
// perhaps on another path. Where interpretations differ, permitted names are matched narrowly and excluded ones widely.
import { isIP } from 'node:net'
import { bufferOf, readAll, readSequence, TAG } from './der.ts'
import { NAME, type GeneralName } from './san.ts'

export type NameConstraints = {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

/** The names of a certificate's subject: its distinguished name in DER, and the names of its SAN. */
export type SubjectNames = { readonly subject: Buffer; readonly names: readonly GeneralName[] }

const PERMITTED = 0xa0
const EXCLUDED = 0xa1
/** 1.2.840.113549.1.9.1 in DER: an e-mail address inside a distinguished name. */
const EMAIL_IN_SUBJECT = Buffer.from('06092a864886f70d010901', 'hex')

/** @throws {Error} when it is not the DER of name constraints, or uses fields that the profile forbids (minimum, maximum) */
export function parseNameConstraints(extensionValue: Uint8Array): NameConstraints {
  let permitted: GeneralName[] = []
  let excluded: GeneralName[] = []
  for (const { tag, content } of readSequence(bufferOf(extensionValue))) {
    if (tag === PERMITTED) permitted = subtrees(content)
    else if (tag === EXCLUDED) excluded = subtrees(content)
    else throw new Error('neither permitted nor excluded')
  }
  return { permitted, excluded }
}

/** Whether all names of a certificate are within the constraints. A constrained name of a kind that we cannot compare is not. */
export function isWithin({ permitted, excluded }: NameConstraints, names: SubjectNames): boolean {
  return namesOf(names).every((name) => {
    const allowed = permitted.filter(({ tag }) => tag === name.tag)
    const forbidden = excluded.filter(({ tag }) => tag === name.tag)
    if (allowed.length === 0 && forbidden.length === 0) return true
    const matches = MATCHES[name.tag]
    if (matches === undefined) return false
    const isAllowed = allowed.length === 0 || allowed.some(({ content }) => matches(name.content, content, 'permitted'))
    return isAllowed && !forbidden.some(({ content }) => matches(name.content, content, 'excluded'))
  })
}

function subtrees(list: Buffer): GeneralName[] {
  return readAll(list).map(({ tag, content }) => {
    const [base, ...rest] = readAll(content)
    if (tag !== TAG.sequence || base === undefined || rest.length > 0) throw new Error('not a subtree')
    if (base.tag === NAME.ip && base.content.length !== 8 && base.content.length !== 32) throw new Error('not a range')
    return base
  })
}

/** A subject that is not empty counts as a directory name; an e-mail address inside it as a name that we do not compare. */
function namesOf({ subject, names }: SubjectNames): GeneralName[] {
  const isEmpty = readSequence(subject).length === 0
  return [
    ...names,
    ...(isEmpty ? [] : [{ tag: NAME.directory, content: subject }]),
    ...(subject.includes(EMAIL_IN_SUBJECT) ? [{ tag: NAME.email, content: subject }] : []),
  ]
}

type Side = 'permitted' | 'excluded'
type Matches = (name: Buffer, base: Buffer, side: Side) => boolean
const MATCHES: Readonly<Record<number, Matches>> = {
  [NAME.uri]: matchesUri,
  [NAME.dns]: (name, base, side) => isBelow(textOf(name), textOf(base), side, side === 'permitted'),
  [NAME.ip]: matchesIp,
  [NAME.directory]: matchesDirectory,
}

/** Compares only the host: `host` matches that host, `.host` every host below it. A URI without a host name cannot be compared. */
function matchesUri(name: Buffer, base: Buffer, side: Side): boolean {
  const [, authority = ''] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(textOf(name)) ?? []
  const host = authority.replace(/^.*@/, '').replace(/:\d*$/, '')
  // A name that cannot be compared is not permitted, and counts as excluded.
  if (host === '' || host.startsWith('[') || isIP(host) !== 0) return side === 'excluded'
  return isBelow(host, textOf(base), side, false)
}

/** `deep`: a base without a leading dot covers the names below it as well. An excluded base always does. */
function isBelow(host: string, base: string, side: Side, deep: boolean): boolean {
  if (side === 'excluded') {
    const bare = base.replace(/^\./, '')
    return bare === '' || host === bare || host.endsWith(`.${bare}`)
  }
  if (base.startsWith('.')) return host.endsWith(base) && host.length > base.length
  return host === base || (deep && (base === '' || host.endsWith(`.${base}`)))
}

function matchesIp(name: Buffer, base: Buffer, side: Side): boolean {
  const size = base.length / 2
  if (name.length !== 4 && name.length !== 16) return side === 'excluded'
  if (name.length !== size) return false
  return name.every((byte, index) => ((byte ^ (base[index] ?? 0)) & (base[size + index] ?? 0)) === 0)
}

/** Whether the name begins with the base, part by part, byte for byte. */
function matchesDirectory(name: Buffer, base: Buffer, side: Side): boolean {
  const [own, parts] = [relativeNames(name), relativeNames(base)]
  if (parts.every((part, index) => own[index] === part)) return true
  // The constraint may mean the same text in another string type or case.
  return side === 'excluded' && parts.length <= own.length
}

/** The relative names of a distinguished name, which a SAN or a constraint wraps in its own tag. */
function relativeNames(name: Buffer): string[] {
  return readSequence(name).map(({ content }) => content.toString('hex'))
}

function textOf(content: Buffer): string {
  return content.toString('latin1').toLowerCase()
}
