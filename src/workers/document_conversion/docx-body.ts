// Reads one body of a DOCX (the document, its notes) for content that is not drawn, each with its paragraph.
import { fateOf, isInside } from './docx-names.ts'
import type { Numbered, Numbering } from './docx-numbering.ts'
import type { Relations, XmlHandler } from './docx-xml.ts'
import type { LeftOut } from './left-out.ts'
import { firstWords, quoted } from './places.ts'
import type { Warnings } from './warnings.ts'

type Attributes = Readonly<Record<string, string>>
type BodyScan = {
  readonly relations: Relations
  readonly hasPart: (name: string) => boolean
  readonly numbering: Numbering
  /** The place of everything that is found, where paragraphs do not identify it; undefined: named by the paragraph. */
  readonly place: string | undefined
  readonly warnings: Warnings
}
type Open = {
  readonly name: string
  /** `skipped`: nothing inside counts. `properties`: properties of the element around it. */
  readonly mode: 'content' | 'properties' | 'skipped'
  /** For a shape: whether its text or a picture of it is drawn. For alternatives: whether there is a fallback. */
  isDrawn: boolean
}

const KEPT = 240
const SHAPES = new Set(['v:shape', 'v:rect', 'v:roundrect'])
const NUMBERS = new Set(['w:numId', 'w:ilvl', 'w:pStyle'])

export function createBodyScan(scan: BodyScan): XmlHandler {
  const stack: Open[] = []
  const paragraph = createParagraph(scan)
  const say = (kind: LeftOut): void => paragraph.say(kind)

  const modeOf = (name: string, attributes: Attributes, parent: Open | undefined): Open['mode'] => {
    if (parent?.mode === 'skipped' || name === 'mc:Choice') return 'skipped'
    if (parent?.mode === 'properties') {
      const kind = propertyLoss(name, attributes, parent.name)
      if (kind !== undefined) say(kind)
      if (NUMBERS.has(name)) paragraph.number(name, attributes['w:val'] ?? '')
      return 'properties'
    }
    const fate = fateOf(name)
    if (fate === 'properties') return 'properties'
    if (fate !== 'drawn' && fate !== 'nothing') say(fate)
    if (isLostPicture(name, attributes, scan)) say('pictures')
    return isInside(fate) ? 'content' : 'skipped'
  }

  return {
    open(name, attributes) {
      const parent = stack.at(-1)
      const mode = modeOf(name, attributes, parent)
      if (name === 'w:p' && mode === 'content') paragraph.begin()
      if (parent?.name === 'mc:AlternateContent' && name === 'mc:Fallback') parent.isDrawn = true
      if (name === 'w:txbxContent' || name === 'v:imagedata' || name === 'v:textpath') {
        for (const one of stack) if (SHAPES.has(one.name)) one.isDrawn = true
      }
      stack.push({ name, mode, isDrawn: false })
    },
    text(text) {
      const last = stack.at(-1)
      if (last?.name === 'w:t' && last.mode === 'content') paragraph.text(text)
    },
    close() {
      const last = stack.pop()
      if (last?.mode !== 'content') return
      if (!last.isDrawn && (SHAPES.has(last.name) || last.name === 'mc:AlternateContent')) say('shapes')
      if (last.name === 'w:p') paragraph.end()
    },
  }
}

type Paragraph = { -readonly [M in keyof Numbered]: Numbered[M] } & { text: string; readonly losses: LeftOut[] }

// A paragraph may contain others, in a text box. Findings are reported at its end, when its text is known.
function createParagraph({ numbering, place, warnings }: BodyScan) {
  const paragraphs: Paragraph[] = []
  let before = ''
  const where = (text: string): string => {
    if (place !== undefined) return place + (text === '' ? '' : `: ${quoted(text)}`)
    if (text !== '') return `in ${quoted(text)}`
    return before === '' ? 'at the start' : `after ${quoted(before)}`
  }
  return {
    begin: () => void paragraphs.push({ text: '', losses: [], numId: undefined, level: '0', styleId: undefined }),
    text(text: string) {
      const last = paragraphs.at(-1)
      if (last !== undefined && last.text.length < KEPT) last.text += text.slice(0, KEPT)
    },
    number(name: string, value: string) {
      const last = paragraphs.at(-1)
      if (last === undefined) return
      if (name === 'w:numId') last.numId = value
      if (name === 'w:ilvl') last.level = value
      if (name === 'w:pStyle') last.styleId = value
    },
    say(kind: LeftOut) {
      const last = paragraphs.at(-1)
      if (last === undefined) warnings.leftOut(kind, { place: where('') })
      else last.losses.push(kind)
    },
    end() {
      const last = paragraphs.pop()
      if (last === undefined) return
      const text = firstWords(last.text)
      if (numbering.differs(last)) last.losses.push('numbers')
      for (const kind of last.losses) warnings.leftOut(kind, { place: where(text) })
      if (text !== '') before = text
    },
  }
}

/** The properties of a paragraph, run, row or form field that change the meaning of the text. */
function propertyLoss(name: string, attributes: Attributes, parent: string): LeftOut | undefined {
  const isOn = !/^(?:false|0|off)$/.test(attributes['w:val'] ?? 'true')
  switch (name) {
    case 'w:dstrike':
      return isOn ? 'formatting' : undefined
    case 'w:vanish':
      return isOn && parent === 'w:rPr' ? 'vanished' : undefined
    case 'w:gridBefore':
      return attributes['w:val'] === '0' ? undefined : 'columns'
    case 'w:ddList':
      return 'formFields'
    case 'w:del':
      return parent === 'w:trPr' ? 'deletions' : undefined
    case 'w:ins':
      return parent === 'w:trPr' ? 'insertions' : undefined
    default:
      return undefined
  }
}

function isLostPicture(name: string, attributes: Attributes, { relations, hasPart }: BodyScan): boolean {
  if (name !== 'a:blip' && name !== 'v:imagedata') return false
  const relation = relations.get(attributes['r:embed'] ?? attributes['r:id'] ?? '')
  if (relation === undefined || relation.isExternal) return true
  const { target } = relation
  return !hasPart(target.startsWith('/') ? target.slice(1) : `word/${target}`)
}
