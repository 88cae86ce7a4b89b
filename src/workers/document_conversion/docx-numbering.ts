// Numbers of lists and headings in a DOCX: mammoth counts 1. 2. 3. in each list, whatever the document specifies.
import { readXml } from './docx-xml.ts'

export type Numbering = {
  /** Whether the PDF may show another number than the document for a paragraph. Call it for each paragraph in order. */
  readonly differs: (paragraph: Numbered) => boolean
}
export type Numbered = {
  readonly numId: string | undefined
  readonly level: string
  readonly styleId: string | undefined
}
type Level = { format: string; text: string; start: string; style: string | undefined }

export function createNumbering(numberingXml: Buffer | undefined, stylesXml: Buffer | undefined): Numbering {
  const { levels, abstractOf } = readNumbering(numberingXml)
  const styles = readStyles(stylesXml)
  let list: string | undefined
  const earlier = new Set<string>()
  const levelOf = (numId: string, level: string) => levels.get(`${abstractOf.get(numId) ?? ''} ${level}`)

  return {
    differs({ numId, level, styleId }) {
      const byStyle = numId === undefined && styleId !== undefined ? styles.get(styleId) : undefined
      const id = numId ?? byStyle?.numId
      const found = id === undefined || id === '0' ? undefined : levelOf(id, byStyle?.level ?? level)
      if (id === undefined || found === undefined) {
        list = undefined
        return false
      }
      const goesOn = list !== id && earlier.has(id)
      list = id
      earlier.add(id)
      if (found.format === 'bullet' || found.format === 'none') return false
      const depth = Number(byStyle?.level ?? level) + 1
      const isPlain = found.format === 'decimal' && found.text === `%${depth}.` && found.start === '1'
      return (
        !isPlain || goesOn || (byStyle !== undefined && (found.style !== styleId || /^heading/i.test(styleId ?? '')))
      )
    },
  }
}

function readNumbering(xml: Buffer | undefined) {
  const levels = new Map<string, Level>()
  const abstractOf = new Map<string, string>()
  let [abstract, num] = ['', '']
  let level: Level | undefined
  readXml(xml, {
    open(name, attributes) {
      const value = attributes['w:val'] ?? ''
      if (name === 'w:abstractNum') abstract = attributes['w:abstractNumId'] ?? ''
      else if (name === 'w:num') num = attributes['w:numId'] ?? ''
      else if (name === 'w:abstractNumId') abstractOf.set(num, value)
      else if (name === 'w:lvl') {
        level = { format: 'decimal', text: '', start: '1', style: undefined }
        levels.set(`${abstract} ${attributes['w:ilvl'] ?? '0'}`, level)
      } else if (level !== undefined) {
        if (name === 'w:numFmt') level.format = value
        if (name === 'w:lvlText') level.text = value
        if (name === 'w:start') level.start = value
        if (name === 'w:pStyle') level.style = value
      }
    },
  })
  return { levels, abstractOf }
}

// Numbering that a style defines.
function readStyles(xml: Buffer | undefined): Map<string, { numId: string; level: string }> {
  const styles = new Map<string, { numId: string; level: string }>()
  let style = ''
  let level = '0'
  readXml(xml, {
    open(name, attributes) {
      if (name === 'w:style') [style, level] = [attributes['w:styleId'] ?? '', '0']
      else if (name === 'w:ilvl') level = attributes['w:val'] ?? '0'
      else if (name === 'w:numId') styles.set(style, { numId: attributes['w:val'] ?? '', level })
    },
  })
  return styles
}
