// The names of a subjectAltName, byte for byte from its DER (RFC 5280, 4.2.1.6). Not from a joined or decoded string, which
// an attacker can make show a name that the certificate does not have (CVE-2021-44532).
import { bufferOf, readSequence } from './der.ts'

/** Kinds of names, by tag. All are primitive except directoryName. */
export const NAME = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87 } as const

/** One name: the tag gives its kind; the content is unchanged. */
export type GeneralName = { readonly tag: number; readonly content: Buffer }

/** All names, in order, of every kind. @throws {Error} when the DER is not a list of names. */
export function generalNames(extensionValue: Uint8Array): GeneralName[] {
  try {
    return readSequence(bufferOf(extensionValue))
  } catch (cause: unknown) {
    throw new Error('subjectAltName is not a DER list of names', { cause })
  }
}

/** The URIs among names, in order, one character for each byte (latin1): a byte above 0x7f stays visible. */
export function urisAmong(names: readonly GeneralName[]): string[] {
  return names.filter(({ tag }) => tag === NAME.uri).map(({ content }) => content.toString('latin1'))
}
