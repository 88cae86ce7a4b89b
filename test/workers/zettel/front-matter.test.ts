import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HandlerError } from '../../../src/worker/call-error.ts'
import { addLink, formatZettel, MAX_FRONT_MATTER, parseZettel } from '../../../src/workers/zettel/front-matter.ts'
import { makeZettel, type Draft, type JsonRecord } from '../../../src/workers/zettel/zettel.ts'

const ORIGIN = {
  zettel_id: '01ARYZ6S410000000000000000',
  stored_by: 'spiffe://crank.local/worker/streaming',
  created_at: '2026-11-24T12:00:00.000Z',
}
const HEAD = `zettel_id: z1\nstored_by: ${ORIGIN.stored_by}\ncreated_at: 2026-11-24\n`
const file = (more: string, content = 'Text.') => `---\n${HEAD}${more}---\n${content}`
const made = (draft: Draft) => makeZettel(draft, ORIGIN)

/** Text with everything that means something to YAML. */
const piece = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom(
      ...Array.from('\n\r\t-#"\'\\:|>%[{}],&*!?a0~ '),
      '\u0085',
      '\u2028',
      '\ufeff',
      '---\n',
      '\n---\n',
      '😀',
    ),
  }),
  fc.constantFrom(
    '---',
    '...',
    'null',
    '~',
    'true',
    '0x1',
    '1e3',
    '.inf',
    '<<',
    '2026-11-24',
    '007',
    '*a',
    '&a',
    '!!str',
  ),
)
const text = piece.filter((some) => some.isWellFormed() && !some.includes('\0'))
const content = text.filter((some) => some.trim() !== '')
const line = text.filter((some) => !/[\p{Cc}\u2028\u2029]/u.test(some) && some.trim() !== '' && some.length <= 60)
const number = fc.double({ noNaN: true, noDefaultInfinity: true })
const json: fc.Arbitrary<JsonRecord> = fc.object({
  key: text,
  values: [text, number, fc.integer(), fc.boolean(), fc.constant(null)],
  maxDepth: 4,
})
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const draft = fc.record({
  content,
  title: optional(line),
  category: optional(line),
  tags: optional(fc.array(line, { maxLength: 8 })),
  source_agent: optional(line),
  shared: optional(fc.boolean()),
  metadata: optional(json),
  context: optional(json),
})

describe('the file of a zettel', () => {
  test('gives back exactly what was written, whatever the title, the tags, the data and the content', () => {
    fc.assert(
      fc.property(draft, (some) => {
        const zettel = made(some)
        expect(parseZettel(formatZettel(zettel))).toStrictEqual(zettel)
      }),
      { numRuns: 100 },
    )
  })

  test('keeps blanks before a line feed, which a block of YAML would drop', () => {
    const zettel = made({ content: '\n---\nx', context: { '': ' \n', b: 'a \n b \n' } })
    expect(parseZettel(formatZettel(zettel))).toStrictEqual(zettel)
  })

  test('can be read by a person', () => {
    const zettel = made({ content: 'First.\n', title: 'Trust: a "word"', tags: ['zero', 'yes'], metadata: { rank: 1 } })
    expect(formatZettel(zettel)).toBe(`---
zettel_id: 01ARYZ6S410000000000000000
title: 'Trust: a "word"'
category: general
tags:
  - zero
  - yes
stored_by: spiffe://crank.local/worker/streaming
shared: false
created_at: 2026-11-24T12:00:00.000Z
metadata:
  rank: 1
---
First.
`)
  })

  test('keeps a member called __proto__, and nobody inherits from it', () => {
    const metadata = JSON.parse('{"__proto__": {"polluted": true}}') as JsonRecord
    const parsed = parseZettel(formatZettel(made({ content: 'a', metadata })))
    expect(JSON.stringify(parsed.metadata)).toBe('{"__proto__":{"polluted":true}}')
    expect(Object.hasOwn(parsed.metadata!, '__proto__')).toBe(true)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('may be changed by hand: other members, comments, numbers, CRLF, no title', () => {
    const byHand = file('# mine\ntitle: 007\ntags: [2026, on, 1e3]\nmood: good\ncategory:\n', '\n# Heading\n')
    const expected = { title: '007', tags: ['2026', 'on', '1e3'], category: 'general', shared: false }
    expect(parseZettel(byHand)).toMatchObject({ ...expected, content: '\n# Heading\n' })
    expect(parseZettel(byHand.replaceAll('\n', '\r\n'))).toMatchObject({ ...expected, content: '\r\n# Heading\r\n' })
    expect(parseZettel(file(''))).toMatchObject({ title: 'Text.', created_at: '2026-11-24T00:00:00.000Z' })
  })

  const refused: Record<string, string> = {
    'no front matter': 'Text.',
    'nothing in it': '',
    'front matter without an end': `---\n${HEAD}`,
    'an end that comes too late': file(`x: ${'a'.repeat(MAX_FRONT_MATTER + 10)}\n`),
    'front matter that is not a mapping': '---\n- a\n---\nText.',
    'no content': file('', ' \n'),
    'no id': file('').replace(/^zettel_id.*$/m, ''),
    'an id that is a path': file('').replace('z1', '../z1'),
    'no caller': file('').replace(/^stored_by.*$/m, ''),
    'no time': file('').replace('2026-11-24', 'today'),
    'a key that stands twice': file('title: a\ntitle: b\n'),
    'an alias': file('x: &a [1]\ny: *a\n'),
    'aliases that would make a billion': file(
      `a: &a [x]\n${Array.from('bcdefghij', (c, at) => `${c}: &${c} [${`*${'abcdefghij'[at]},`.repeat(10)}]`).join('\n')}\n`,
    ),
    'a tag of its own': file('x: !thing a\n'),
    'a tag that would be code elsewhere': file('x: !!js/function "return 1"\n'),
    bytes: file('x: !!binary aGk=\n'),
    'a number out of range': file('metadata: {a: .inf}\n'),
    'data deeper than allowed': file(`metadata: ${'{a: '.repeat(20)}1${'}'.repeat(20)}\n`),
    'brackets without end': file(`x: ${'['.repeat(20_000)}\n`),
    'brackets in their thousands': file(`x: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`),
    'a second document': file('').replace('zettel_id', '--- x\nzettel_id'),
    'a title of two lines': file('title: "a\\nb"\n'),
  }
  for (const [what, bad] of Object.entries(refused)) {
    test(`is refused with ${what}`, () => {
      expect(() => parseZettel(bad)).toThrow(expect.objectContaining({ code: 'INVALID_ZETTEL' }))
    })
  }

  test('is a zettel or refused, whatever stands in it', () => {
    const anything = fc.oneof(
      piece,
      piece.map((some) => file(some)),
      piece.map((some) => file(`title: ${some}\n`)),
    )
    fc.assert(
      fc.property(anything, (some) => {
        try {
          const zettel = parseZettel(some)
          expect(parseZettel(formatZettel(zettel))).toStrictEqual(zettel)
        } catch (cause: unknown) {
          if (!(cause instanceof HandlerError)) throw cause
          expect(cause.code).toBe('INVALID_ZETTEL')
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('one more link', () => {
  const later = '2026-11-25T00:00:00.000Z'

  test('changes nothing else, neither comments nor content', () => {
    const before = file('# mine\nmood: good # very\n', '---\nText. \n')
    const after = addLink(before, 'z2', later)
    expect(after).toBe(file(`# mine\nmood: good # very\nlinks:\n  - z2\nupdated_at: ${later}\n`, '---\nText. \n'))
    expect(parseZettel(addLink(after, 'z3', later)).links).toStrictEqual(['z2', 'z3'])
  })

  test('leaves any zettel what it was', () => {
    fc.assert(
      fc.property(draft, (some) => {
        const zettel = made(some)
        const linked = parseZettel(addLink(formatZettel(zettel), 'z2', later))
        expect(linked).toStrictEqual({ ...zettel, links: ['z2'], updated_at: later })
      }),
      { numRuns: 40 },
    )
  })

  test('is refused where there are too many', () => {
    const links = Array.from({ length: 500 }, (_, at) => `z${at}`)
    const full = formatZettel(makeZettel({ content: 'a' }, { ...ORIGIN, links }))
    expect(() => addLink(full, 'one-more', later)).toThrow('links: at most 500')
  })
})

describe('a zettel', () => {
  const refused: Record<string, [draft: Partial<Draft>, message: string]> = {
    'blank content': [{ content: ' \n' }, 'content is blank'],
    'a NUL in the content': [{ content: 'a\0' }, 'content has a NUL character'],
    'half of a surrogate pair': [{ content: 'a\ud800' }, 'content is not well-formed Unicode'],
    'content that is too long in bytes': [{ content: '😀'.repeat(1_000_001) }, 'content is longer than 4000000 bytes'],
    'a blank title': [{ title: ' ' }, 'title is blank'],
    'a title of two lines': [{ title: 'a\nb' }, 'title has a character that is not printable'],
    'a title that is too long': [{ title: 'a'.repeat(201) }, 'title is longer than 200 characters'],
    'a blank tag': [{ tags: ['a', ' '] }, 'tags is blank'],
    'a tag that is too long': [{ tags: ['a'.repeat(65)] }, 'tags is longer than 64 characters'],
    'too many tags': [{ tags: Array.from({ length: 33 }, (_, at) => `t${at}`) }, 'tags: at most 32'],
    'a category that is too long': [{ category: 'a'.repeat(65) }, 'category is longer than 64 characters'],
    'data that is too long': [{ metadata: { a: 'a'.repeat(16 * 1024) } }, 'metadata is longer than 16384 bytes'],
    'data that is too deep': [{ context: nested(9) }, 'context is deeper than 8 levels'],
    'a number out of range': [{ metadata: { a: Number.POSITIVE_INFINITY } }, 'metadata has a number out of range'],
    'a key with half of a pair': [{ metadata: { '\udc00': 1 } }, 'metadata is not well-formed Unicode'],
    'a text with half of a pair': [{ metadata: { a: ['\udc00'] } }, 'metadata is not well-formed Unicode'],
  }
  for (const [what, [wrong, message]] of Object.entries(refused)) {
    test(`is refused with ${what}`, () => {
      expect(() => made({ content: 'a', ...wrong })).toThrow(message)
    })
  }

  test('takes data of eight levels', () => {
    expect(made({ content: 'a', metadata: nested(8) }).metadata).toStrictEqual(nested(8))
  })

  test('has its names trimmed and composed, and each tag once', () => {
    const tags = ['caf\u00e9', ' cafe\u0301 ', 'b']
    expect(made({ content: 'a', title: ' cafe\u0301 ', tags })).toMatchObject({
      title: 'caf\u00e9',
      tags: ['caf\u00e9', 'b'],
    })
  })

  const titles: Record<string, string> = {
    '\n \n## On Trust  \nmore': 'On Trust',
    'one\ttwo\u0085three\r\nmore': 'one two three',
    '###\n---': 'Untitled',
    '#': 'Untitled',
    [`${' '.repeat(1_000_000)}x`]: 'x',
    [`# ${'😀'.repeat(100)}`]: `${'😀'.repeat(80)}…`,
    [`${'#'.repeat(999)}😀`]: '\ufffd',
  }
  for (const [content, title] of Object.entries(titles)) {
    test(`is called ${JSON.stringify(title.slice(0, 20))} after ${JSON.stringify(content.slice(0, 20))}`, () => {
      expect(made({ content }).title).toBe(title)
    })
  }
})

function nested(levels: number): JsonRecord {
  return levels === 1 ? { end: 1 } : { a: nested(levels - 1) }
}
