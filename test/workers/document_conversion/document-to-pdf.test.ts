import { describe, expect, test } from 'vitest'
import { ask, base64, refusal, shown, textOf, toPdf } from './conversions.ts'

describe('the text of a document in a PDF', () => {
  test('of plain text has its lines', async () => {
    expect(await shown('one\r\ntwo  three\n\n\tfour <b>', 'text')).toBe('one two three four <b>')
  })

  test('of Markdown has what its marks mean', async () => {
    const markdown =
      '# Title\n\nSome *text* with `code`.\n\n1. a\n2. b\n\n| A | B |\n|---|---|\n| c | d |\n\n> quote\n\n```\nx = 1\n```'
    expect(await shown(markdown, 'markdown')).toBe('Title Some text with code. 1. a 2. b A B c d quote x = 1')
  })

  test('of Markdown has nothing of the scripts in it', async () => {
    expect(await shown('a <script>SECRET</script> b [c](javascript:SECRET)', 'markdown')).toBe('a b c')
  })

  for (const [script, text] of Object.entries({
    Latin: 'Zażółć gęślą jaźń, Þingvellir, Tiếng Việt',
    Greek: 'Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία',
    Cyrillic: 'Съешь же ещё этих мягких французских булок, Україна',
    'marks of their own': 'e\u0301 a\u0308',
    'letters that look alike': 'AΑА BΒВ eе oοо',
    signs: '€ 12,50 – “quoted” … ½ §',
  })) {
    test(`is readable in ${script}`, async () => {
      const pdf = await toPdf(text, 'text')
      expect(await textOf(pdf)).toBe(text.normalize('NFC'))
      expect(pdf.warnings).toStrictEqual([])
    })
  }

  test('is readable in bold, italics and code', async () => {
    expect(await shown('<p><b>жирный</b> <i>курсив</i> <b><i>оба</i></b> <code>код x</code></p>', 'html')).toBe(
      'жирный курсив оба код x',
    )
  })

  test('has a mark for each character that the font lacks, and says which', async () => {
    const pdf = await toPdf('a 中文 😀 b', 'text')
    expect(await textOf(pdf)).toMatch(/^a \uFFFD\s?\uFFFD \uFFFD b$/)
    expect(pdf.warnings).toStrictEqual([
      {
        code: 'CHARACTERS_REPLACED',
        message: 'characters that the font lacks are shown as \uFFFD (U+4E2D, U+6587, U+1F600)',
        count: 3,
      },
    ])
  })

  test('has lines, arrows and boxes of the likes that the font has', async () => {
    const pdf = await toPdf('a \u2192 b \u21d2 c \u250c\u2500\u2510 \u2502d\u2502 \u2610 e \u25aa f', 'text')
    expect(await textOf(pdf)).toBe('a -> b => c +-+ |d| [ ] e \u2022 f')
    expect(pdf.warnings).toStrictEqual([])
  })

  test('has nothing that cannot be seen: controls, joiners, marks of direction', async () => {
    const pdf = await toPdf('a\u0007b\u200bc\u202ed\u00ade\ufe0f', 'text')
    expect(await textOf(pdf)).toBe('abcde')
    expect(pdf.warnings).toStrictEqual([])
  })

  for (const [encoding, bytes] of Object.entries({
    'UTF-8 with a mark': Buffer.from('\ufeffПривет'),
    'UTF-16': Buffer.from('\ufeffПривет', 'utf16le'),
    'UTF-16 the other way round': Buffer.from('\ufeffПривет', 'utf16le').swap16(),
  })) {
    test(`is read in ${encoding}`, async () => {
      expect(await shown(bytes, 'text')).toBe('Привет')
    })
  }
})

describe('the PDF', () => {
  test('has the same bytes for the same input, whatever came before', async () => {
    const first = await toPdf('# Привет\n\n**a** *b* `c`', 'markdown')
    await toPdf('something else: Ωμέγα', 'markdown')
    const second = await toPdf('# Привет\n\n**a** *b* `c`', 'markdown')
    expect(second.converted_data).toBe(first.converted_data)
    expect(Buffer.from(first.converted_data, 'base64').toString('latin1')).not.toContain('CreationDate')
  })

  test('has the letters of this document, not those of one before', async () => {
    await toPdf('é ê ΑΒΕ', 'text')
    expect(await shown('ABE here', 'text')).toBe('ABE here')
    expect(await shown('ΑΒΕ АВЕ', 'text')).toBe('ΑΒΕ АВЕ')
  })

  test('has the size, title and creation date that it is given', async () => {
    const options = { page_size: 'letter', title: 'Report', created_at: '2026-11-24T12:00:00Z' }
    const { converted_data } = await toPdf('a', 'text', { options, target_format: 'pdf' })
    const pdf = Buffer.from(converted_data, 'base64').toString('latin1')
    expect(pdf).toContain('/MediaBox [0 0 612 792]')
    expect(pdf).toContain('(Report)')
    expect(pdf).toContain('(D:20261124120000Z)')
  })

  test('has the title of HTML', async () => {
    const { converted_data } = await toPdf('<title>My  title</title><p>a</p>', 'html')
    const pdf = Buffer.from(converted_data, 'base64').toString('latin1')
    expect(pdf).toContain('(My title)')
    expect(pdf).toContain('/MediaBox [0 0 595.28 841.89]')
  })
})

describe('refuses', () => {
  const text = { document_data: base64('a'), source_format: 'text' }
  const refusals: Record<string, [input: object, status: number, error: string, message: RegExp]> = {
    'a format that it does not know': [
      { ...text, source_format: 'rtf' },
      415,
      'INVALID_FORMAT',
      /source_format must be text, markdown, html, docx/,
    ],
    'a format that it does not make': [{ ...text, target_format: 'docx' }, 415, 'INVALID_FORMAT', /target_format/],
    'a PDF as text': [{ ...text, document_data: base64('%PDF-1.7') }, 415, 'INVALID_FORMAT', /is PDF, not text/],
    'bytes that are no text': [{ ...text, document_data: base64('a\0b') }, 415, 'INVALID_FORMAT', /NUL/],
    'text that breaks its encoding': [
      { ...text, document_data: base64(Buffer.of(0x61, 0xff)) },
      422,
      'CORRUPT_DOCUMENT',
      /not text in utf-8/,
    ],
    'what is not base64': [{ ...text, document_data: 'a b c d' }, 400, 'INVALID_INPUT', /document_data is not base64/],
    'base64 that breaks off': [{ ...text, document_data: 'YWJjZ' }, 400, 'INVALID_INPUT', /not base64/],
    'no document': [{ ...text, document_data: '' }, 400, 'INVALID_INPUT', /document_data/],
    'a member that it does not know': [{ ...text, shell: 'pandoc' }, 400, 'INVALID_INPUT', /shell/],
    'a creation date before 1970': [
      { ...text, options: { created_at: '1969-12-31T00:00:00Z' } },
      400,
      'INVALID_INPUT',
      /created_at/,
    ],
  }
  for (const [what, [input, status, error, message]] of Object.entries(refusals)) {
    test(what, async () => {
      const refused = await refusal('document_to_pdf', input)
      expect(refused).toMatchObject({ status, error, retryable: false })
      expect(refused.message).toMatch(message)
    })
  }

  test('a document that is longer than the limit, by name', async () => {
    const { status, message } = await refusal('document_to_pdf', { ...text, document_data: 'A'.repeat(13_981_017) })
    expect(status).toBe(400)
    expect(message).toMatch(/document_data must NOT have more than 13981016 characters/)
  })

  test('anything but HTML in html_to_pdf', async () => {
    expect(await refusal('html_to_pdf', text)).toMatchObject({ status: 415, error: 'INVALID_FORMAT' })
  })

  test('Markdown that nests too deeply for its parser', async () => {
    const input = { document_data: base64(`${'>'.repeat(50_000)}a`), source_format: 'markdown' }
    expect(await refusal('document_to_pdf', input)).toMatchObject({
      status: 413,
      error: 'LIMIT_EXCEEDED',
      message: 'the document is nested too deeply',
    })
  })

  test('nothing quietly: base64 for URLs and without its padding is base64', async () => {
    const answer = await ask('document_to_pdf', { ...text, document_data: Buffer.from('a?>~b').toString('base64url') })
    expect(answer.status).toBe(200)
  })
})
