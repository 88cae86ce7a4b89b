// Everything that a document may contain and its PDF or text does not: each kind with its sentence.
import type { WarningCode } from './task.ts'

type Words = readonly [code: WarningCode, sentence: string]

const LEFT_OUT = {
  // HTML.
  svg: ['CONTENT_SIMPLIFIED', 'SVG drawings are left out'],
  math: ['CONTENT_SIMPLIFIED', 'formulas are left out'],
  canvas: ['CONTENT_SIMPLIFIED', 'canvas drawings are left out'],
  hidden: ['CONTENT_DROPPED', 'hidden text is left out'],
  uncovered: ['CONTENT_SIMPLIFIED', 'text that a style hides is drawn'],
  generated: ['CONTENT_DROPPED', 'text that a style sheet adds is left out'],
  styleHides: ['CONTENT_SIMPLIFIED', 'style sheets are not applied: text that they hide is drawn'],
  password: ['CONTENT_DROPPED', 'values of password fields are left out'],
  options: ['CONTENT_DROPPED', 'list boxes show their chosen options only, the others are left out'],
  imageMap: ['CONTENT_DROPPED', 'the links of image maps are left out'],
  relativeLink: ['CONTENT_DROPPED', 'targets of links that are relative or too long are left out'],
  direction: ['CONTENT_SIMPLIFIED', 'text that overrides its direction is drawn in the order in which it is written'],
  numbers: ['CONTENT_SIMPLIFIED', 'lists are numbered again: the numbers may differ from those of the document'],
  table: ['CONTENT_SIMPLIFIED', 'tables that hold pictures, rules or tables are taken apart into their cells'],
  columns: ['CONTENT_SIMPLIFIED', 'table rows that begin in a later column are drawn from the first one'],
  // DOCX.
  comments: ['CONTENT_DROPPED', 'comments are left out'],
  headers: ['CONTENT_DROPPED', 'page headers are left out'],
  footers: ['CONTENT_DROPPED', 'page footers are left out'],
  deletions: ['CONTENT_DROPPED', 'tracked changes: deleted or moved text is left out'],
  insertions: ['CONTENT_SIMPLIFIED', 'tracked changes: inserted or moved text is drawn as if it were accepted'],
  formatting: ['CONTENT_SIMPLIFIED', 'text that is struck through twice is drawn without its lines'],
  vanished: ['CONTENT_SIMPLIFIED', 'hidden text is drawn'],
  charts: ['CONTENT_DROPPED', 'charts are left out'],
  diagrams: ['CONTENT_DROPPED', 'diagrams (SmartArt) are left out'],
  shapes: ['CONTENT_DROPPED', 'text boxes and shapes are left out'],
  formulas: ['CONTENT_DROPPED', 'formulas are left out'],
  embedded: ['CONTENT_DROPPED', 'embedded objects are left out'],
  fields: ['CONTENT_DROPPED', 'fields are left out, such as page numbers and dates'],
  formFields: ['CONTENT_DROPPED', 'choices of form fields are left out'],
  characters: ['CONTENT_DROPPED', 'special characters or line breaks are left out'],
  ruby: ['CONTENT_DROPPED', 'text with a reading above it is left out'],
  bidirectional: ['CONTENT_DROPPED', 'text with a direction of its own is left out'],
  inserted: ['CONTENT_DROPPED', 'documents inside of the document are left out'],
  macros: ['ACTIVE_CONTENT_DROPPED', 'macros and controls are left out'],
  // These have an older, more specific code.
  pictures: ['CONTENT_SIMPLIFIED', 'pictures other than embedded PNG or JPEG are left out'],
  other: ['CONTENT_DROPPED', 'parts of an unknown kind are left out'],
  // PDF.
  annotations: ['CONTENT_DROPPED', 'comments and other notes on pages are left out'],
  fieldValues: ['CONTENT_DROPPED', 'values of form fields are left out'],
} as const satisfies Record<string, Words>

export type LeftOut = keyof typeof LEFT_OUT

export function wordsFor(kind: LeftOut): Words {
  return LEFT_OUT[kind]
}
