// Blocks to a PDF. The same blocks and options give the same bytes: the clock is not used unless a date is given.
import { PDFDocument } from 'pdfkit'
import type { Block, Picture, Place, Run, Style } from './blocks.ts'
import { drawTable } from './draw-table.ts'
import { layoutLines } from './layout.ts'
import { createPen, LINE_HEIGHT, type Pen } from './pen.ts'
import { createSheet, type Sheet } from './sheet.ts'
import type { PdfOptions, PdfResult } from './task.ts'
import type { Warnings } from './warnings.ts'

const TEXT_POINTS = 10.5
const CODE_POINTS = 9
const HEADING_POINTS = [20, 16, 13.5, 12, 11, 10.5]
const BLOCK_GAP = 6
const ITEM_GAP = 2
const INDENT = 18
const QUOTE = 12
const POINTS_PER_PIXEL = 0.75
const BAR = '#bbbbbb'
const SHADE = '#f2f2f2'

type Drawing = {
  readonly document: PDFDocument
  readonly sheet: Sheet
  readonly pen: Pen
  readonly warnings: Warnings
  readonly embedded: Map<Picture, ReturnType<PDFDocument['openImage']>>
}

/** @throws {ConversionFault} LIMIT_EXCEEDED for too many pages */
export async function blocksToPdf(
  blocks: readonly Block[],
  options: PdfOptions,
  warnings: Warnings,
): Promise<PdfResult> {
  const document = new PDFDocument({
    size: options.pageSize,
    margin: 0,
    autoFirstPage: false,
    font: null,
    // The file's identifier is derived from these: the current date would change it.
    info: { Producer: 'Crank', Creator: 'Crank', CreationDate: new Date(options.createdMs ?? 0) },
  })
  // The library needs a date until the end, but writes only enumerable members.
  if (options.createdMs === undefined) Object.defineProperty(document.info, 'CreationDate', { enumerable: false })
  if (options.title !== undefined) document.info.Title = options.title
  const chunks: Uint8Array[] = []
  const { promise: ended, resolve, reject } = Promise.withResolvers<undefined>()
  document.on('data', (chunk: Uint8Array) => chunks.push(chunk))
  document.once('end', () => resolve(undefined))
  document.once('error', reject)

  const sheet = createSheet(document)
  const drawing = { document, sheet, pen: createPen(document, warnings), warnings, embedded: new Map() }
  let previous: Block | undefined
  for (const block of blocks) {
    // Items of a list have a small gap; what follows the list has a larger one.
    if (previous !== undefined && previous.indent > block.indent) sheet.gap(BLOCK_GAP - ITEM_GAP)
    drawBlock(block, drawing)
    previous = block
  }
  document.end()
  await ended
  return { bytes: new Uint8Array(Buffer.concat(chunks)), pageCount: sheet.pages(), warnings: warnings.list() }
}

function drawBlock(block: Block, drawing: Drawing): void {
  const { sheet, document } = drawing
  switch (block.kind) {
    case 'paragraph':
      drawText(block, block.runs, TEXT_POINTS, drawing)
      return
    case 'heading': {
      const points = HEADING_POINTS[block.level - 1] ?? TEXT_POINTS
      sheet.gap(points * 0.6)
      // A heading must not be the last line of a page.
      sheet.ensure(points * LINE_HEIGHT + 3 * TEXT_POINTS * LINE_HEIGHT)
      const bold = block.runs.map(({ text, style }): Run => ({ text, style: style | 1 }))
      drawText(block, bold, points, drawing)
      return
    }
    case 'preformatted':
      drawText(block, linesOf(block.text, block.style), block.style === 0 ? TEXT_POINTS : CODE_POINTS, drawing)
      return
    case 'table': {
      const x = leftOf(block, sheet)
      drawTable(block.rows, { x, width: sheet.left + sheet.width - x }, drawing)
      sheet.gap(BLOCK_GAP)
      return
    }
    case 'picture':
      drawPicture(block, block.picture, drawing)
      return
    case 'rule': {
      sheet.ensure(10)
      const y = sheet.top() + 5
      document
        .moveTo(leftOf(block, sheet), y)
        .lineTo(sheet.left + sheet.width, y)
        .lineWidth(0.7)
        .stroke(BAR)
      sheet.advance(10)
      return
    }
    default:
      block satisfies never
  }
}

function drawText(block: Block, runs: Iterable<Run>, points: number, { document, sheet, pen }: Drawing): void {
  const x = leftOf(block, sheet)
  const width = sheet.left + sheet.width - x
  const height = points * LINE_HEIGHT
  const isPreformatted = block.kind === 'preformatted'
  const isCode = isPreformatted && block.style !== 0
  let isFirst = true
  for (const line of layoutLines(pen.prepare(runs), width, pen.measureAt(points), isPreformatted)) {
    sheet.ensure(height)
    const top = sheet.top()
    if (isCode) document.rect(x - 4, top, width + 8, height).fill(SHADE)
    for (let level = 0; level < block.quote; level += 1) {
      document.rect(quoteBar(block, level, sheet), top, 2, height).fill(BAR)
    }
    document.fillColor('black')
    if (isFirst && block.marker !== undefined) drawMarker(block.marker, x, top, points, pen)
    isFirst = false
    pen.draw(line, x, top, points)
    sheet.advance(height)
  }
  sheet.gap(block.indent > 0 ? ITEM_GAP : BLOCK_GAP)
}

function drawMarker(marker: string, x: number, top: number, points: number, pen: Pen): void {
  const width = pen.measureAt(points)(marker, 0)
  pen.draw([{ text: marker, style: 0, x: 0 }], x - width - 4, top, points)
}

// Each line is checked on its own for whether it can be drawn as code.
function* linesOf(text: string, style: Style): Generator<Run, void> {
  for (const line of text.split('\n')) {
    yield { text: line, style }
    yield { text: '\n', style }
  }
}

function leftOf({ indent, quote }: Place, { left }: Sheet): number {
  return left + indent * INDENT + quote * QUOTE
}

function quoteBar({ indent }: Place, level: number, { left }: Sheet): number {
  return left + indent * INDENT + level * QUOTE + 2
}

function drawPicture(place: Place, picture: Picture, { document, sheet, warnings, embedded }: Drawing): void {
  const x = leftOf(place, sheet)
  try {
    const image = embedded.get(picture) ?? document.openImage(picture.bytes)
    embedded.set(picture, image)
    // EXIF: orientations from 5 on are rotated by 90 degrees.
    const [width, height] = (image.orientation ?? 1) > 4 ? [image.height, image.width] : [image.width, image.height]
    const natural = { width: width * POINTS_PER_PIXEL, height: height * POINTS_PER_PIXEL }
    const scale = Math.min(1, (sheet.left + sheet.width - x) / natural.width, sheet.height / natural.height)
    const size = { width: natural.width * scale, height: natural.height * scale }
    sheet.ensure(size.height)
    document.image(image, x, sheet.top(), size)
    sheet.advance(size.height)
    sheet.gap(BLOCK_GAP)
  } catch (cause: unknown) {
    // The library throws strings for pictures that it rejects; our own errors are passed on.
    if (cause instanceof Error && cause.name === 'ConversionFault') throw cause
    warnings.add('IMAGES_DROPPED', { place: `page ${sheet.pages()}` })
  }
}
