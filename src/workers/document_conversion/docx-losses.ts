// Content of a DOCX that is not drawn. mammoth omits much silently, so its parts are read a second time to find it.
import { createBodyScan } from './docx-body.ts'
import { partLeftOut } from './docx-names.ts'
import { createNumbering } from './docx-numbering.ts'
import { readRelations, readXml } from './docx-xml.ts'
import { firstWords, quoted } from './places.ts'
import type { Warnings } from './warnings.ts'
import type { ZipEntry } from './zip.ts'

const KEPT = 240
const OTHER_CONTENT = /^w:(?:drawing|pict|object|fldSimple|fldChar|pgNum)$/

/** `names`: all parts of the document. `parts`: those that mammoth received. */
export function sayDocxLosses(names: readonly string[], parts: readonly ZipEntry[], warnings: Warnings): void {
  const known = new Map(parts.map(({ name, bytes }) => [name, bytes]))
  const main = mainPart(known)
  const scanBody = (name: string, place: string | undefined): void => {
    const slash = name.lastIndexOf('/') + 1
    const relations = readRelations(known.get(`${name.slice(0, slash)}_rels/${name.slice(slash)}.rels`))
    const numbering = createNumbering(known.get('word/numbering.xml'), known.get('word/styles.xml'))
    readXml(
      known.get(name),
      createBodyScan({ relations, hasPart: (part) => known.has(part), numbering, place, warnings }),
    )
  }
  scanBody(main, undefined)
  for (const { name, bytes } of parts) {
    const kind = /^word\/(header|footer|footnotes|endnotes)\d*\.xml$/.exec(name)?.[1]
    if (kind === 'header') sayOfMargin('headers', bytes, warnings)
    if (kind === 'footer') sayOfMargin('footers', bytes, warnings)
    if (kind === 'footnotes' || kind === 'endnotes') scanBody(name, `in the ${kind}`)
  }
  for (const name of names) {
    const kind = partLeftOut(name)
    if (kind !== undefined) warnings.leftOut(kind, { place: `in the part ${quoted(firstWords(name))}` })
  }
}

function mainPart(known: ReadonlyMap<string, Buffer>): string {
  let main = 'word/document.xml'
  readXml(known.get('_rels/.rels'), {
    open(_, { Type = '', Target = '' }) {
      if (Type.endsWith('/officeDocument')) main = Target.replace(/^\//, '')
    },
  })
  return main
}

function sayOfMargin(kind: 'headers' | 'footers', xml: Buffer, warnings: Warnings): void {
  const found = { text: '', hasOther: false, isText: false }
  readXml(xml, {
    open(name) {
      found.isText = name === 'w:t'
      if (OTHER_CONTENT.test(name)) found.hasOther = true
      if (name === 'w:p') found.text += ' '
    },
    text(text) {
      if (found.isText && found.text.length < KEPT) found.text += text.slice(0, KEPT)
    },
    close: () => void (found.isText = false),
  })
  const words = firstWords(found.text)
  if (words !== '') warnings.leftOut(kind, { place: quoted(words) })
  else if (found.hasOther) warnings.leftOut(kind, { place: 'a picture or field without text' })
}
