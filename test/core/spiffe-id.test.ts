// The SPIFFE-ID specification, section by section: every byte, the tables of go-spiffe and java-spiffe, and ours.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSpiffeId, parseTrustDomain, SpiffeIdError, trustDomainOf } from '../../src/core/spiffe-id.ts'

const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))
const TRUST_DOMAIN_CHARS = Array.from('abcdefghijklmnopqrstuvwxyz0123456789.-_')
const PATH_CHARS = [...TRUST_DOMAIN_CHARS, ...Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ')]

function accepts(parse: (text: string) => string, text: string): boolean {
  try {
    return parse(text) === text
  } catch (error: unknown) {
    if (error instanceof SpiffeIdError) return false
    throw error
  }
}

describe('every byte', () => {
  test('a trust domain takes exactly a-z, 0-9, dot, dash and underscore, alone and anywhere in it', () => {
    const good = BYTES.filter((char) => accepts(parseTrustDomain, char))
    expect(new Set(good)).toEqual(new Set(TRUST_DOMAIN_CHARS))
    for (const place of ['XtdX', 'tXd', 'Xtd', 'tdX']) {
      const text = (char: string): string => place.replaceAll('X', char)
      expect(new Set(BYTES.filter((char) => accepts(parseTrustDomain, text(char))))).toEqual(
        new Set(TRUST_DOMAIN_CHARS),
      )
    }
  })

  test('the trust domain inside an ID takes the same, where a slash begins the path', () => {
    const good = BYTES.filter((char) => accepts(parseSpiffeId, `spiffe://td${char}/w`))
    expect(new Set(good)).toEqual(new Set(TRUST_DOMAIN_CHARS))
  })

  test('a path segment takes exactly letters, digits, dot, dash and underscore', () => {
    for (const place of ['/pX', '/Xp', '/pXp', '/a/pX/b']) {
      const good = BYTES.filter((char) => accepts(parseSpiffeId, `spiffe://td${place.replaceAll('X', char)}`))
      // A slash in the middle makes two segments.
      const expected = place === '/pXp' ? [...PATH_CHARS, '/'] : PATH_CHARS
      expect(new Set(good)).toEqual(new Set(expected))
    }
  })

  test('a trust domain on its own and a path of one character follow the same table', () => {
    const good = BYTES.filter((char) => accepts(parseSpiffeId, `spiffe://td/${char}`))
    expect(new Set(good)).toEqual(new Set(PATH_CHARS.filter((char) => char !== '.')))
  })
})

const ACCEPTED = [
  'spiffe://trustdomain/path',
  'spiffe://trustdomain/path1/path2',
  'spiffe://trustdomain/PATH1/PATH2',
  'spiffe://trustdomain/9eebccd2-12bf-40a6-b262-65fe0487d453',
  'spiffe://trustdomain/.path',
  'spiffe://trustdomain/..path',
  'spiffe://trustdomain/...',
  'spiffe://trustdomain/.../svc',
  'spiffe://1.2.3.4/s',
  'spiffe://a_b.example/f',
  'spiffe://example..org/f',
  'spiffe://.example.org/f',
  'spiffe://example.org./f',
  'spiffe://-example.org/f',
  'spiffe://example-.org/f',
]

const REFUSED: Record<string, readonly string[]> = {
  'no or another scheme': ['', 's', 'spiffe:/', 'spiffe:/td/p', 'spiffe:path/e', '://d', '//td/p', 'xspiffe://td/p'],
  'a scheme that is not spiffe': ['http://d/p', 'https://td/p', '192.168.2.2:6688', 'spiffe+https://td/p'],
  'a scheme that is not lower case': ['Spiffe://td/p', 'SPIFFE://td/p', 'SpIfFe://TrUsT/W', ' spiffe://td/p'],
  'no trust domain': ['spiffe://', 'spiffe:///', 'spiffe:///path'],
  'no path (a leaf must have one)': ['spiffe://trustdomain', 'spiffe://trustdomain/'],
  'empty segments': [
    'spiffe://td//',
    'spiffe://td//path',
    'spiffe://td/path/',
    'spiffe://td/path//',
    'spiffe://td/a//b',
  ],
  'dot segments': [
    ...['/.', '/./p', '/p/.', '/p/./o', '/p/..', '/..', '/../p', '/p/../o'].map((path) => `spiffe://td${path}`),
  ],
  'percent-encoding': [
    'spiffe://%F0%9F%A4%AF/p',
    'spiffe://td/%F0%9F%A4%AF',
    'spiffe://%62%61%64/p',
    'spiffe://td/%62%61%64',
    'spiffe://td/elem%5uent',
    'spiffe://td/foo%5Cbar',
    'spiffe://td/%2e%2e/p',
  ],
  'port, userinfo, query, fragment': [
    'spiffe://td:80/p',
    'spiffe://td:/p',
    'spiffe://user:pw@td/p',
    'spiffe://@td/p',
    'spiffe://td/p?query=1',
    'spiffe://td/p?',
    'spiffe://td/p?#f',
    'spiffe://td/p#f',
    'spiffe://td/p#',
    'spiffe://td?x/p',
  ],
  'IPv6 hosts': ['spiffe://[::1]/s', 'spiffe://[2001:db8::1]/s'],
  spaces: ['spiffe:// domain.test /p', 'spiffe://domain.test/ ', 'spiffe://domain.test/foo bar', 'spiffe://td/p '],
  'an ID in an ID': ['spiffe://domain.test/spiffe://domain.test/p'],
  'line ends, NUL, BOM, backslash, tab': ['\n', '\r\n', '\0', '\uFEFF', '\\', '\t'].flatMap((char) => [
    `spiffe://td/p${char}`,
    `spiffe://td${char}/p`,
    `${char}spiffe://td/p`,
  ]),
  'letters that fold to ASCII': ['\u212A', '\u0130', '\uFF41', '\u017F'].flatMap((char) => [
    `spiffe://${char}ube/p`,
    `spiffe://td/${char}ube`,
    `${char}piffe://td/p`,
  ]),
  'upper case in the trust domain': ['spiffe://TD1.test/w/a', 'spiffe://td1.Test/w/a'],
}

describe('the tables', () => {
  test.each(ACCEPTED)('accepts %s as it stands', (id) => {
    expect(parseSpiffeId(id)).toBe(id)
  })

  test.each(Object.entries(REFUSED))('refuses %s', (_name, ids) => {
    for (const id of ids) expect(() => parseSpiffeId(id), JSON.stringify(id)).toThrow(SpiffeIdError)
  })

  test('names the broken rule and its section', () => {
    expect(() => parseSpiffeId('spiffe://td/a/../b')).toThrow('path has a dot segment (2.2)')
    expect(() => parseSpiffeId('spiffe://td')).toThrow('path is missing: only a trust domain has none (X509-SVID 3.1)')
  })
})

describe('lengths', () => {
  test('a trust domain of 255 bytes is accepted, of 256 refused', () => {
    expect(accepts(parseTrustDomain, 'a'.repeat(255))).toBe(true)
    expect(accepts(parseTrustDomain, 'a'.repeat(256))).toBe(false)
    expect(accepts(parseSpiffeId, `spiffe://${'a'.repeat(255)}/w`)).toBe(true)
    expect(accepts(parseSpiffeId, `spiffe://${'a'.repeat(256)}/w`)).toBe(false)
  })

  test('an ID of 2048 bytes is accepted, of 2049 refused', () => {
    const ofLength = (bytes: number): string => 'spiffe://td/'.padEnd(bytes, 'a')
    expect(accepts(parseSpiffeId, ofLength(2048))).toBe(true)
    expect(accepts(parseSpiffeId, ofLength(2049))).toBe(false)
  })

  test('bytes are counted, not characters', () => {
    expect(() => parseSpiffeId(`spiffe://td/${'é'.repeat(1020)}`)).toThrow('longer than 2048 bytes')
    expect(() => parseTrustDomain('é'.repeat(128))).toThrow('longer than 255 bytes')
  })
})

describe('identity is the exact text', () => {
  test.each([
    ['spiffe://td1.test/w/a', 'spiffe://td1.test/w/A'],
    ['spiffe://td1.test/w/a', 'spiffe://td1.test/w/a/b'],
    ['spiffe://td1.test/w/a', 'spiffe://td1.test/w/ab'],
    ['spiffe://td1.test/w', 'spiffe://xtd1.test/w'],
    ['spiffe://td1.test/w', 'spiffe://td1.test.evil/w'],
  ])('%s is not %s', (one, other) => {
    expect(parseSpiffeId(one)).not.toBe(parseSpiffeId(other))
  })

  test('the trust domain is what stands before the first slash', () => {
    expect(trustDomainOf(parseSpiffeId('spiffe://td1.test.evil/td1.test/a'))).toBe('td1.test.evil')
  })
})

describe('any text', () => {
  const segment = fc
    .string({ unit: fc.constantFrom(...PATH_CHARS), minLength: 1, maxLength: 20 })
    .filter((text) => text !== '.' && text !== '..')
  const trustDomain = fc.string({ unit: fc.constantFrom(...TRUST_DOMAIN_CHARS), minLength: 1, maxLength: 60 })

  test('what is built from the grammar is accepted unchanged, and taken apart again', () => {
    fc.assert(
      fc.property(trustDomain, fc.array(segment, { minLength: 1, maxLength: 8 }), (domain, segments) => {
        const id = parseSpiffeId(`spiffe://${domain}/${segments.join('/')}`)
        expect(trustDomainOf(id)).toBe(domain)
      }),
    )
  })

  test('what is accepted fits the grammar of the specification, written down independently', () => {
    const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/
    const piece = fc.oneof(
      fc.constantFrom('spiffe://', '/', '.', '..', 'td', 'w', '%', ':', '@', '\n', 'A'),
      fc.string(),
    )
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''))
    const nearly = fc.tuple(fc.constantFrom('', 'spiffe://', 'spiffe://td/'), text).map(([start, end]) => start + end)
    fc.assert(
      fc.property(nearly, (candidate) => {
        expect(accepts(parseSpiffeId, candidate)).toBe(Buffer.byteLength(candidate) <= 2048 && grammar.test(candidate))
      }),
      { numRuns: 2000 },
    )
  })
})
