// PDF to text, page by page, with pdf.js, which is given no location to load anything from.
import { getDocumentProxy } from 'unpdf'
import { hearingDamage } from './pdf-damage.ts'
import { MAX_PAGES, MAX_TEXT_CHARACTERS } from './limits.ts'
import { sayPdfNotes } from './pdf-notes.ts'
import { ConversionFault, limitFault, type PageText, type PdfTextResult, type PdfToTextTask } from './task.ts'
import type { Warnings } from './warnings.ts'

type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>

/** @throws {ConversionFault} INVALID_FORMAT, CORRUPT_DOCUMENT (damaged, encrypted), INVALID_INPUT (pages), LIMIT_EXCEEDED */
export function pdfToText(task: PdfToTextTask, warnings: Warnings): Promise<PdfTextResult> {
  return hearingDamage(
    () => warnings.add('DAMAGED'),
    () => read(task, warnings),
  )
}

async function read(task: PdfToTextTask, warnings: Warnings): Promise<PdfTextResult> {
  const pdf = await openPdf(task.bytes)
  try {
    const { first, last } = rangeOf(task, pdf.numPages)
    const pages: PageText[] = []
    let left = MAX_TEXT_CHARACTERS
    for (let page = first; page <= last; page += 1) {
      const text = await pageText(pdf, page, warnings)
      left -= text.length
      if (left < 0) throw limitFault(`the pages have more than ${MAX_TEXT_CHARACTERS} characters of text`)
      if (text.trim() === '') warnings.add('NO_TEXT', { place: `page ${page}` })
      pages.push({ page, text })
    }
    return { pages, pageCount: pdf.numPages, warnings: warnings.list() }
  } finally {
    await pdf.loadingTask.destroy()
  }
}

async function openPdf(bytes: Uint8Array): Promise<Pdf> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // ISO 32000-1 annex H: readers accept a header within the first 1024 bytes.
  if (!buffer.subarray(0, 1024).includes('%PDF-')) {
    throw new ConversionFault('INVALID_FORMAT', 'document_data is not a PDF: it has no %PDF- header')
  }
  // Without the end marker pdf.js would return what it finds as if it were the whole document.
  if (!buffer.includes('%%EOF')) throw damaged('it has no end')
  try {
    // `stopAtErrors`: an unreadable page is an error, not an empty page. `verbosity` 1: warnings, see pdf-damage.ts.
    return await getDocumentProxy(bytes, { stopAtErrors: true, verbosity: 1 })
  } catch (cause: unknown) {
    if (cause instanceof RangeError) throw cause
    if (cause instanceof Error && cause.name === 'PasswordException') {
      throw new ConversionFault('CORRUPT_DOCUMENT', 'the PDF is encrypted: it needs a password', { cause })
    }
    throw damaged('its structure cannot be read', cause)
  }
}

function rangeOf({ firstPage, lastPage }: PdfToTextTask, count: number): { first: number; last: number } {
  const last = Math.min(lastPage ?? count, count)
  if (firstPage > last) {
    throw new ConversionFault('INVALID_INPUT', `there is no page from ${firstPage} to ${lastPage ?? count} of ${count}`)
  }
  if (last - firstPage >= MAX_PAGES) {
    throw limitFault(`at most ${MAX_PAGES} pages are read in one call: choose them with first_page and last_page`)
  }
  return { first: firstPage, last }
}

async function pageText(pdf: Pdf, number: number, warnings: Warnings): Promise<string> {
  try {
    const page = await pdf.getPage(number)
    const { items } = await page.getTextContent()
    await sayPdfNotes(page, number, warnings)
    page.cleanup()
    return items
      .map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : ''))
      .join('')
      .toWellFormed()
  } catch (cause: unknown) {
    if (cause instanceof RangeError) throw cause
    throw damaged(`page ${number} cannot be read`, cause)
  }
}

function damaged(how: string, cause?: unknown): ConversionFault {
  return new ConversionFault('CORRUPT_DOCUMENT', `the PDF is damaged: ${how}`, { cause })
}
