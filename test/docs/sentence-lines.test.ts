// Markdown has one sentence per line; `node scripts/format-markdown.ts` brings a file into this form.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { markdownFiles, ROOT } from '../../scripts/lab/markdown-files.ts'
import { oneSentencePerLine } from '../../scripts/lab/sentence-lines.ts'

const cases = {
  'two sentences on one line': ['It starts. It stops.', 'It starts.\nIt stops.'],
  'a sentence over two lines': ['It starts\nand stops.', 'It starts and stops.'],
  'a list item': ['- It starts. It\n  stops.\n- Next.', '- It starts.\n  It stops.\n- Next.'],
  'a numbered item': ['1. It starts. `crank` stops.', '1. It starts.\n   `crank` stops.'],
  'a sentence in brackets, and one that begins with a link': [
    'It starts. (It stops.) [Next](a.md) comes.',
    'It starts.\n(It stops.)\n[Next](a.md) comes.',
  ],
  'a sentence that ends with a number': ['It exits with 2. Ada stops.', 'It exits with 2.\nAda stops.'],
  'a sentence that begins with a number': ['It stops. 404 is an answer.', 'It stops.\n404 is an answer.'],
} as const

describe('puts on lines of their own', () => {
  for (const [name, [before, after]] of Object.entries(cases)) {
    test(name, () => {
      expect(oneSentencePerLine(before)).toBe(after)
      expect(oneSentencePerLine(after)).toBe(after)
    })
  }
})

describe('leaves as it is', () => {
  const untouched = {
    'code in a line': 'Call `a. B` and [c. D](e. F.md), then stop.',
    'a fenced block': '```sh\nIt starts. It stops.\n```',
    'a table': '| It starts. It stops. |\n| --- |',
    'a heading': '## 1. It starts. It stops.',
    'an abbreviation': 'Workers, e.g. Ada, are numbered 1. 2. 3. and so on.',
    'a bold heading at the start of a paragraph': '**Limits.** At most ten.',
    'a version': 'OPA 1.0 and Node 24.11 are enough.',
  }
  for (const [name, text] of Object.entries(untouched)) {
    test(name, () => {
      expect(oneSentencePerLine(text)).toBe(text)
    })
  }
})

describe('every Markdown file has one sentence per line', () => {
  for (const path of markdownFiles()) {
    test(path, () => {
      const text = readFileSync(join(ROOT, path), 'utf8')
      expect(text, 'run node scripts/format-markdown.ts').toBe(oneSentencePerLine(text))
    })
  }
})
