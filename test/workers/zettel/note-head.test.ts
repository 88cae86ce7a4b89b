// Notes that bring front matter of their own along: title and tags are the note's, the content stays as it was given.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { withNoteHead } from '../../../src/workers/zettel/note-head.ts'
import { makeZettel, type Draft } from '../../../src/workers/zettel/zettel.ts'
import { createZettelManager } from '../../../src/workers/zettel_manager/worker.ts'
import { createZettelRepository } from '../../../src/workers/zettel_repository/worker.ts'
import { createBench, type Bench } from './place.ts'

const ORIGIN = { zettel_id: 'z1', stored_by: 'spiffe://crank.local/worker/streaming', created_at: '2026-11-24' }
const made = (draft: Draft) => makeZettel(withNoteHead(draft), ORIGIN)
const NOTE =
  '---\ntitle: Zero trust at home\ntags:\n  - security\n  - "#home/lab"\naliases: [x]\n---\n\n# Heading\n\nText.\n'

describe('a note with front matter', () => {
  const cases: Record<string, { content: string; title: string; tags: string[] }> = {
    'with a title and a list of tags': {
      content: NOTE,
      title: 'Zero trust at home',
      tags: ['security', 'home/lab'],
    },
    'with tags in one line': {
      content: '---\ntags: a, b c\n---\nFirst line.',
      title: 'First line.',
      tags: ['a', 'b', 'c'],
    },
    'with a single tag, CRLF and a byte order mark': {
      content: '\uFEFF---\r\ntag: one\r\n---\r\n## Title\r\n',
      title: 'Title',
      tags: ['one'],
    },
    'with numbers': { content: '---\ntitle: 2026\ntags: [007, 8]\n---\nx', title: '2026', tags: ['007', '8'] },
    'without a title': { content: '---\ncreated: 2026-11-24\n---\n\n# On Trust\n', title: 'On Trust', tags: [] },
    'without members': { content: '---\n---\nText', title: 'Text', tags: [] },
    'that is not valid YAML': { content: '---\ntitle: a: b\ntags: [x\n---\nBody', title: 'Body', tags: [] },
    'with an empty title and tags of other kinds': {
      content: '---\ntitle: ""\ntags: [{a: b}, null, "  "]\n---\nBody',
      title: 'Body',
      tags: [],
    },
    'with a title too long to be one': {
      content: `---\ntitle: ${'x'.repeat(201)}\n---\nBody`,
      title: 'Body',
      tags: [],
    },
    'with aliases of YAML': {
      content: '---\ntitle: &t Anchor\ntags: [*t, b]\n---\nBody',
      title: 'Anchor',
      tags: ['b'],
    },
    'with more tags than a zettel has': {
      content: `---\ntags: [${Array.from({ length: 40 }, (_, n) => `t${n}`).join(', ')}]\n---\nBody`,
      title: 'Body',
      tags: Array.from({ length: 32 }, (_, n) => `t${n}`),
    },
  }
  for (const [name, { content, title, tags }] of Object.entries(cases)) {
    test(name, () => {
      expect(made({ content })).toMatchObject({ title, tags, content })
    })
  }

  test('does not speak over what the caller says; the tags of both are kept, once each', () => {
    const { title, tags } = made({ content: NOTE, title: 'Mine', tags: ['home/lab', 'own'] })
    expect({ title, tags }).toStrictEqual({ title: 'Mine', tags: ['home/lab', 'own', 'security'] })
  })
})

describe('a text without front matter', () => {
  const titles: Record<string, string> = {
    '---\n\nAfter a rule.': 'After a rule.',
    '---\nProse between two rules.\n---\nMore.': 'Prose between two rules.',
    '***\n# Heading': 'Heading',
    '```\ncode\n```': 'code',
    '- item': '- item',
    '---\ntitle: never closed\n': 'title: never closed',
    '---': 'Untitled',
    'Text first.\n---\ntitle: x\n---\n': 'Text first.',
  }
  for (const [content, title] of Object.entries(titles)) {
    test(`${JSON.stringify(content)} has the title ${title}`, () => {
      expect(made({ content })).toMatchObject({ title, tags: [] })
    })
  }
})

describe('through the workers', () => {
  let bench: Bench
  afterEach(() => bench.close())

  describe('store:zettel', () => {
    beforeEach(async () => {
      bench = await createBench(createZettelRepository, 'store:zettel')
      await bench.start()
    })

    test('answers with the title and the tags of the note, and stores it once however often it is sent', async () => {
      const first = await bench.ask({ content: NOTE, zettel_id: 'home' })
      expect(first.body).toMatchObject({ title: 'Zero trust at home', tags: ['security', 'home/lab'] })
      expect(first.body.relative_path).toBe('general/home.zero-trust-at-home.md')
      expect(await bench.ask({ content: NOTE, zettel_id: 'home' })).toMatchObject({ status: 200, body: first.body })
      expect(await bench.read(first.body.storage_path)).toContain(`---\n${NOTE}`)
    })
  })

  describe('manage:sonnet_zettel', () => {
    beforeEach(async () => {
      bench = await createBench(createZettelManager, 'manage:sonnet_zettel')
      await bench.start()
    })

    test('finds the note by its tag, and gives the content back as it was', async () => {
      const { body } = await bench.ask({ operation: 'store', content: NOTE })
      const listed = await bench.ask({ operation: 'list', tags: ['security'] })
      expect(listed.body.data.zettels).toMatchObject([{ zettel_id: body.zettel_id, title: 'Zero trust at home' }])
      const got = await bench.ask({ operation: 'retrieve', zettel_id: body.zettel_id })
      expect(got.body.data.zettel.content).toBe(NOTE)
    })
  })
})
