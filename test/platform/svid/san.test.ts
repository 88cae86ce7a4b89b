// The DER reader of subjectAltName: every name in its place, and nothing but an Error for anything else.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generalNames, urisAmong } from '../../../src/platform/svid/san.ts'
import { encodeSan, tlv, type SanName } from '../../fixtures/pki/der.ts'

const urisIn = (der: Uint8Array) => urisAmong(generalNames(der))

const bytes = fc.uint8Array({ maxLength: 300 })
const name: fc.Arbitrary<SanName> = fc.oneof(
  bytes.map((uri) => ({ uri })),
  bytes.map((dns) => ({ dns })),
  fc.constant({ ip: '127.0.0.1' }),
  fc.constant({ otherName: true as const }),
)

test('gives exactly the URI names, byte for byte and in order, whatever stands around them', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 6 }), (names) => {
      const uris = names.flatMap((each) =>
        'uri' in each ? [Buffer.from(each.uri as Uint8Array).toString('latin1')] : [],
      )
      expect(urisIn(encodeSan(names))).toEqual(uris)
    }),
  )
})

test.each([
  ['nothing', ''],
  ['a tag without a length', '30'],
  ['another type', '0500'],
  ['a length beyond the end', '30038601'],
  ['bytes after the list', '300386014100'],
  ['a name beyond the list', '3003860541'],
  ['an indefinite length', '30808601410000'],
  ['a length that is longer than needed', '308103860141'],
  ['a length with a leading zero byte', '30820003860141'],
  ['a length of four bytes', '308400000003860141'],
  ['a tag of several bytes', '30049f010141'],
])('refuses %s', (_name, hex) => {
  expect(() => urisIn(Buffer.from(hex, 'hex'))).toThrow('subjectAltName is not a DER list of names')
})

test('any bytes are a list of names or an Error, never anything else', () => {
  const outcomeOf = (value: Uint8Array): string => {
    try {
      return urisIn(value).every((uri) => uri.length <= value.length) ? 'a list' : 'a list of more than there is'
    } catch (error: unknown) {
      return (error as Error).message
    }
  }
  fc.assert(
    fc.property(
      fc.oneof(
        bytes,
        bytes.map((value) => tlv(0x30, value)),
      ),
      (value) => {
        expect(['a list', 'subjectAltName is not a DER list of names']).toContain(outcomeOf(value))
      },
    ),
  )
})
