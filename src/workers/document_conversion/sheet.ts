// The pages of a PDF: how far they are filled, and a new page when the space does not suffice.
import type { PDFDocument } from 'pdfkit'
import { MAX_PAGES } from './limits.ts'
import { limitFault } from './task.ts'

const MARGIN = 56

export type Sheet = {
  readonly left: number
  readonly width: number
  /** Height of a page between its margins. */
  readonly height: number
  /** Top of the next block, in points from the top of the page. */
  readonly top: () => number
  /** Starts a new page unless this much space is left. @throws {ConversionFault} beyond MAX_PAGES */
  readonly ensure: (height: number) => void
  readonly advance: (height: number) => void
  /** Adds space between blocks, none at the top of a page. */
  readonly gap: (height: number) => void
  readonly pages: () => number
}

export function createSheet(document: PDFDocument): Sheet {
  let pages = 0
  let top = MARGIN
  const addPage = (): void => {
    if (pages === MAX_PAGES) throw limitFault(`the PDF would have more than ${MAX_PAGES} pages`)
    document.addPage()
    pages += 1
    top = MARGIN
  }
  addPage()
  const { width, height } = document.page
  const bottom = height - MARGIN
  return {
    left: MARGIN,
    width: width - 2 * MARGIN,
    height: bottom - MARGIN,
    top: () => top,
    ensure(needed) {
      if (top > MARGIN && top + needed > bottom) addPage()
    },
    advance: (by) => void (top += by),
    gap(by) {
      if (top > MARGIN) top += by
    },
    pages: () => pages,
  }
}
