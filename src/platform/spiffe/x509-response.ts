// The messages of FetchX509SVID, read from protocol buffers: workload.proto in
// https://github.com/spiffe/spiffe/blob/main/standards/workloadapi.proto, of which only these fields matter here.
import protobuf from 'protobufjs/minimal.js'

/** One SVID. Certificates are DER, concatenated; the key is PKCS #8 DER. `hint`: '' if there is none. */
export type SvidMessage = {
  readonly spiffeId: string
  readonly svid: Buffer
  readonly key: Buffer
  readonly bundle: Buffer
  readonly hint: string
}

/** The complete state of a workload. `federatedBundles`: by the SPIFFE ID of the trust domain. `crls`: in DER. */
export type X509Response = {
  readonly svids: readonly SvidMessage[]
  readonly crls: readonly Buffer[]
  readonly federatedBundles: ReadonlyMap<string, Buffer>
}

type Reader = protobuf.Reader
type Fields = Readonly<Record<number, (reader: Reader) => void>>

const LENGTH_DELIMITED = 2

/** Decodes a response; unknown fields are skipped. @throws {Error} when it is not a protocol buffer */
export function decodeX509Response(bytes: Buffer): X509Response {
  const svids: SvidMessage[] = []
  const crls: Buffer[] = []
  const federatedBundles = new Map<string, Buffer>()
  readFields(bytes, {
    1: (reader) => void svids.push(decodeSvid(bytesOf(reader))),
    2: (reader) => void crls.push(bytesOf(reader)),
    3: (reader) => {
      const [trustDomain, bundle] = decodeEntry(bytesOf(reader))
      federatedBundles.set(trustDomain, bundle)
    },
  })
  return { svids, crls, federatedBundles }
}

function decodeSvid(bytes: Buffer): SvidMessage {
  const found: { -readonly [Field in keyof SvidMessage]: SvidMessage[Field] } = {
    spiffeId: '',
    svid: EMPTY,
    key: EMPTY,
    bundle: EMPTY,
    hint: '',
  }
  readFields(bytes, {
    1: (reader) => void (found.spiffeId = reader.string()),
    2: (reader) => void (found.svid = bytesOf(reader)),
    3: (reader) => void (found.key = bytesOf(reader)),
    4: (reader) => void (found.bundle = bytesOf(reader)),
    5: (reader) => void (found.hint = reader.string()),
  })
  return found
}

function decodeEntry(bytes: Buffer): readonly [key: string, value: Buffer] {
  let key = ''
  let value: Buffer = EMPTY
  readFields(bytes, {
    1: (reader) => void (key = reader.string()),
    2: (reader) => void (value = bytesOf(reader)),
  })
  return [key, value]
}

const EMPTY = Buffer.alloc(0)

function readFields(bytes: Buffer, fields: Fields): void {
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const read = fields[tag >>> 3]
    if (read === undefined || (tag & 7) !== LENGTH_DELIMITED) reader.skipType(tag & 7)
    else read(reader)
  }
}

/** A copy: the message would keep the memory of all that came with it. */
function bytesOf(reader: Reader): Buffer {
  return Buffer.from(reader.bytes())
}
