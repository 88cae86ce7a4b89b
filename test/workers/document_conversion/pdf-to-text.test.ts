import { deflateSync } from 'node:zlib'
import { buffer } from 'node:stream/consumers'
import { PDFDocument } from 'pdfkit'
import { describe, expect, test } from 'vitest'
import { ask, base64, refusal, toPdf, type TextAnswer } from './conversions.ts'
import { rawPdf, showing } from './raw-pdf.ts'

async function read(pdf: string | Uint8Array, more: object = {}): Promise<TextAnswer> {
  const document_data = typeof pdf === 'string' ? pdf : base64(pdf)
  return (await ask('pdf_to_text', { document_data, ...more })).json() as TextAnswer
}

describe('convert:pdf_to_text', () => {
  test('gives the text of each page, and of all of them in UTF-8', async () => {
    const { converted_data } = await toPdf(`<p>${'<br>Привет '.repeat(60)}</p><h1>Last</h1>`, 'html')
    const answer = (await ask('pdf_to_text', { document_data: converted_data, target_format: 'text' })).json()
    const { pages, converted_data: text } = answer as TextAnswer & { converted_data: string }
    expect(answer).toMatchObject({ target_format: 'text', page_count: 2, warnings: [] })
    expect(pages.map(({ page }) => page)).toStrictEqual([1, 2])
    expect(pages[0]!.text).toMatch(/^Привет\nПривет\n/)
    expect(pages[1]!.text).toMatch(/Last$/)
    expect(Buffer.from(text, 'base64').toString()).toBe(pages.map((page) => page.text).join('\f'))
  })

  test('gives the pages that are asked for', async () => {
    const { converted_data, page_count } = await toPdf('<p>a'.repeat(150), 'html')
    expect(page_count).toBe(5)
    const some = await read(converted_data, { first_page: 2, last_page: 3 })
    expect(some.pages.map(({ page }) => page)).toStrictEqual([2, 3])
    expect(some.page_count).toBe(5)
    expect((await read(converted_data, { first_page: 5, last_page: 9 })).pages).toHaveLength(1)
  })

  test('says that a page has no text', async () => {
    const { warnings } = await read(rawPdf(deflateSync('0 0 m 9 9 l S')))
    expect(warnings).toMatchObject([{ code: 'NO_TEXT', count: 1 }])
  })

  for (const [what, [annotation, message]] of Object.entries<[annotation: string, message: string]>({
    'a note': ['/Subtype /Text /Contents (Check this)', 'comments and other notes on pages are left out'],
    'text that was typed onto the page': [
      '/Subtype /FreeText /Contents (Paid) /DA (/F1 9 Tf)',
      'comments and other notes on pages are left out',
    ],
    'a filled field': ['/Subtype /Widget /FT /Tx /T (name) /V (Ada)', 'values of form fields are left out'],
  })) {
    test(`says that ${what} is left out, and on which page`, async () => {
      const pdf = rawPdf(showing('Hello'), undefined, '', `<< /Type /Annot /Rect [9 9 99 99] ${annotation} >>`)
      const { pages, warnings } = await read(pdf)
      expect(pages).toStrictEqual([{ page: 1, text: 'Hello' }])
      expect(warnings).toStrictEqual([{ code: 'CONTENT_DROPPED', message, count: 1, places: ['page 1'] }])
    })
  }

  test('does not speak of links and of fields that are empty', async () => {
    const link = '<< /Type /Annot /Subtype /Link /Rect [9 9 99 99] /A << /S /URI /URI (https://example.org/) >> >>'
    const empty = '<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /Rect [9 9 99 99] >>'
    expect((await read(rawPdf(showing('Hello'), undefined, '', link + empty))).warnings).toStrictEqual([])
  })

  test('says that it saw damage which it could read around', async () => {
    const { pages, warnings } = await read(rawPdf(deflateSync('BT /F1 12 Tf (a) Tj ET x q 1 cm')))
    expect(pages[0]!.text).toBe('a')
    expect(warnings).toMatchObject([{ code: 'DAMAGED' }])
  })
})

describe('convert:pdf_to_text refuses', () => {
  const sound = rawPdf(showing('Hello'))

  test('what is not a PDF', async () => {
    expect(await refusal('pdf_to_text', { document_data: base64('hello') })).toMatchObject({
      status: 415,
      error: 'INVALID_FORMAT',
    })
  })

  for (const [what, pdf] of Object.entries<Buffer>({
    'breaks off': sound.subarray(0, 300),
    'has no pages': Buffer.from(sound.toString('latin1').replace('/Kids [3 0 R]', '/Kids [9 0 R]'), 'latin1'),
    'is only a header': Buffer.from('%PDF-1.4 %%EOF'),
    'nests arrays without end': rawPdf(deflateSync('['.repeat(1_000_000))),
  })) {
    test(`a PDF that ${what}`, async () => {
      expect(await refusal('pdf_to_text', { document_data: base64(pdf) })).toMatchObject({
        status: 422,
        error: 'CORRUPT_DOCUMENT',
        retryable: false,
      })
    })
  }

  test('an encrypted PDF', async () => {
    const options = { size: 'a4', margin: 0, autoFirstPage: true, font: 'Helvetica', info: {}, userPassword: 'secret' }
    const document = new PDFDocument(options as unknown as ConstructorParameters<typeof PDFDocument>[0])
    document.end()
    expect(await refusal('pdf_to_text', { document_data: base64(await buffer(document)) })).toMatchObject({
      status: 422,
      error: 'CORRUPT_DOCUMENT',
      message: 'the PDF is encrypted: it needs a password',
    })
  })

  test('pages that are not there', async () => {
    expect(await refusal('pdf_to_text', { document_data: base64(sound), first_page: 2 })).toMatchObject({
      status: 400,
      error: 'INVALID_INPUT',
      message: 'there is no page from 2 to 1 of 1',
    })
  })

  test('more text than the limit', async () => {
    const pdf = rawPdf(showing('a'.repeat(70), 29_000))
    expect(await refusal('pdf_to_text', { document_data: base64(pdf) })).toMatchObject({
      status: 413,
      error: 'LIMIT_EXCEEDED',
      message: 'the pages have more than 2000000 characters of text',
    })
  })

  test('other formats than from PDF to text', async () => {
    const document_data = base64(sound)
    expect(await refusal('pdf_to_text', { document_data, source_format: 'docx' })).toMatchObject({ status: 415 })
    expect(await refusal('pdf_to_text', { document_data, target_format: 'html' })).toMatchObject({ status: 415 })
  })
})
