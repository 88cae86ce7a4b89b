// What reads untrusted text: HTML, the head of a message, words. Whatever comes, they end, and throw nothing.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { htmlText, readableText } from '../../../src/workers/email_classifier/html-text.ts'
import { bodyText, ownWords } from '../../../src/workers/email_classifier/mail.ts'
import { looksLikeMessage } from '../../../src/workers/email_classifier/message-format.ts'
import { wordsOf } from '../../../src/workers/email_classifier/words.ts'

describe('text of HTML', () => {
  const cases: Record<string, [html: string, text: string]> = {
    'drops tags': ['<p>Hello <b>Ada</b></p>', '\nHello Ada\n'],
    'drops scripts, styles and the head': [
      '<head><title>x</title></head>a<style>p{}</style>b<SCRIPT>1 < 2</SCRIPT >c',
      'abc',
    ],
    'drops comments': ['a<!-- <b>no</b> -->b', 'ab'],
    'keeps where links go': [
      '<a class="x" href="https://example.org/a?b">here</a>.',
      'here (https://example.org/a?b).',
    ],
    'does not keep a link that is none': ['<a href="javascript:steal()">here</a>', 'here'],
    'decodes entities, once': ['&lt;b&gt; &amp;amp; &#65;&#x42; &euro;&nbsp;5 &nope;', '<b> &amp; AB € 5 &nope;'],
    'replaces characters that do not exist': ['&#x110000;&#0;&#xd800;', '\ufffd\ufffd\ufffd'],
    'keeps a lone <': ['1 < 2 <3', '1 < 2 <3'],
    'lets what is not closed reach to the end': ['a<script>b', 'a'],
  }
  for (const [what, [html, text]] of Object.entries(cases)) {
    test(what, () => {
      expect(htmlText(html)).toBe(text)
    })
  }

  test('leaves text alone that is not HTML', () => {
    expect(readableText('if a <b and c> d &amp; e')).toBe('if a <b and c> d &amp; e')
  })

  test('is linear: a megabyte of what could be anything is read at once', () => {
    for (const piece of ['<', '<!--', '<script>', '<a href="http://a', '&#', '</a>', '<a ', '<p']) {
      expect(htmlText(piece.repeat(200_000)).length).toBeLessThanOrEqual(2_000_000)
    }
  })
})

describe('the head of a message', () => {
  const messages: Record<string, string> = {
    'two fields and a body': 'From: a@b.c\nSubject: x\n\nbody',
    'CRLF and folded fields': 'Received: from a\r\n\tby b\r\nTo: c\r\n\r\nbody',
    'the line of an mbox before it': 'From a@b.c Thu Aug 22 14:44:07 2002\nReturn-Path: <a@b.c>\nTo: x\n\n',
    'no body at all': 'Subject: x\nTo: y',
  }
  for (const [what, text] of Object.entries(messages)) {
    test(`is known by ${what}`, () => {
      expect(looksLikeMessage(text)).toBe(true)
    })
  }

  const others: Record<string, string> = {
    'mere text': 'Dear Bob,\nsee you on Monday.',
    nothing: '',
    'one field': 'Subject: lunch\n\nSee you',
    'fields that no mail has': 'Name: Ada\nAge: 36\n\nLovelace',
    'text before the fields': 'Forwarded:\nhello there\nFrom: a\nTo: b\n\nc',
    'a folded line first': ' x\nFrom: a\nTo: b\n\nc',
  }
  for (const [what, text] of Object.entries(others)) {
    test(`is not seen in ${what}`, () => {
      expect(looksLikeMessage(text)).toBe(false)
    })
  }
})

test('words are kept as written, numbers by their kind', () => {
  expect(wordsOf("Don't pay $1,200 or €5 by 10pm, 24-36 hours, 1-800-555-0100... x 2002 MP3s")).toStrictEqual([
    "Don't",
    'pay',
    '$#',
    'or',
    '$#',
    'by',
    '#pm',
    '#-#',
    'hours',
    '#-#-#-#',
    '#4',
    'MP3s',
  ])
})

test('own words are without quotes and signature', () => {
  expect(ownWords('On Monday:\n> quoted\n  > too\nmine\n-- \nAda')).toBe('On Monday:\nmine\n')
})

test('anything is read to its end, and gives well-formed text', () => {
  const pieces = [
    '<a href="http://a.b/',
    '<script',
    '</',
    '<!--',
    '&#x',
    ';',
    'From: a',
    '\r\n',
    '\n\n',
    '\ud83d',
    '-- \n',
    '>',
  ]
  const text = fc
    .array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...pieces)))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, (given) => {
      expect(bodyText(given).text.isWellFormed()).toBe(true)
      expect(typeof looksLikeMessage(given)).toBe('boolean')
      for (const word of wordsOf(ownWords(given))) {
        expect(word).toMatch(/^\S{2,20}$/)
      }
    }),
    { numRuns: 500 },
  )
})
