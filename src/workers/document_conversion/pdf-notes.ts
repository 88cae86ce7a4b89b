// Content on the pages of a PDF beside their text: notes, and the values of form fields.
import type { getDocumentProxy } from 'unpdf'
import type { LeftOut } from './left-out.ts'
import type { Warnings } from './warnings.ts'

type Page = Awaited<ReturnType<Awaited<ReturnType<typeof getDocumentProxy>>['getPage']>>
/** The used members of pdf.js's annotations. */
type Annotation = {
  readonly subtype?: unknown
  readonly fieldValue?: unknown
  readonly contentsObj?: { readonly str?: unknown }
}

/** ISO 32000-1 12.5.6: these annotations have no text of their own. */
const SILENT: ReadonlySet<unknown> = new Set(['Link', 'Popup', 'Widget'])

export async function sayPdfNotes(page: Page, number: number, warnings: Warnings): Promise<void> {
  const annotations = (await page.getAnnotations()) as readonly Annotation[]
  for (const annotation of annotations) {
    const kind = lossOf(annotation)
    if (kind !== undefined) warnings.leftOut(kind, { place: `page ${number}` })
  }
}

function lossOf({ subtype, fieldValue, contentsObj }: Annotation): LeftOut | undefined {
  if (subtype === 'FileAttachment') return 'embedded'
  if (subtype === 'Widget') return hasValue(fieldValue) ? 'fieldValues' : undefined
  return !SILENT.has(subtype) && hasValue(contentsObj?.str) ? 'annotations' : undefined
}

// `Off` is the value of an unchecked box.
function hasValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasValue)
  return typeof value === 'string' && value.trim() !== '' && value !== 'Off'
}
