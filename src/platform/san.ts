// The URI names of a subjectAltName, byte for byte from its DER (RFC 5280, 4.2.1.6). Not from a joined or decoded string:
// those can be made to show a name that is not there (CVE-2021-44532).

const SEQUENCE = 0x30
/** uniformResourceIdentifier [6] IA5String, primitive. */
const URI = 0x86

/**
 * All URI names, in order, one character for each byte (latin1): a byte above 0x7f stays visible as such.
 * Other kinds of names are skipped over, whatever they are. @throws {Error} when the DER is not a list of names.
 */
export function uriNames(extensionValue: Uint8Array): string[] {
  const der = Buffer.from(extensionValue.buffer, extensionValue.byteOffset, extensionValue.byteLength)
  const list = readElement(der, 0)
  if (list.tag !== SEQUENCE || list.end !== der.length) throw malformed()
  const uris: string[] = []
  for (let at = list.start; at < list.end;) {
    const name = readElement(der.subarray(0, list.end), at)
    if (name.tag === URI) uris.push(der.toString('latin1', name.start, name.end))
    at = name.end
  }
  return uris
}

type Element = { readonly tag: number; readonly start: number; readonly end: number }

/** One DER element: single-byte tags and definite, shortest-form lengths only. */
function readElement(der: Buffer, at: number): Element {
  const tag = der[at]
  const first = der[at + 1]
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw malformed()
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || lengthBytes > 3 || at + 2 + lengthBytes > der.length) throw malformed()
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes)
  if (lengthBytes > 0 && length < (lengthBytes === 1 ? 0x80 : 1 << (8 * (lengthBytes - 1)))) throw malformed()
  const start = at + 2 + lengthBytes
  if (start + length > der.length) throw malformed()
  return { tag, start, end: start + length }
}

function malformed(): Error {
  return new Error('subjectAltName is not a DER list of names')
}
