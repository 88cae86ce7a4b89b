// What becomes of each element and part of a DOCX in the PDF: drawn by mammoth, nothing to show, or left out.
// ECMA-376 part 1, sections 17, 20 and 22; [MS-DOCX] for the extensions of Word.
import type { LeftOut } from './left-out.ts'

type Fate = LeftOut | 'drawn' | 'nothing' | 'properties'

const URIS: Readonly<Record<string, string>> = {
  'http://schemas.openxmlformats.org/wordprocessingml/2006/main': 'w',
  'http://purl.oclc.org/ooxml/wordprocessingml/main': 'w',
  'http://schemas.openxmlformats.org/officeDocument/2006/math': 'm',
  'http://purl.oclc.org/ooxml/officeDocument/math': 'm',
  'http://schemas.openxmlformats.org/officeDocument/2006/relationships': 'r',
  'http://purl.oclc.org/ooxml/officeDocument/relationships': 'r',
  'http://schemas.openxmlformats.org/drawingml/2006/main': 'a',
  'http://purl.oclc.org/ooxml/drawingml/main': 'a',
  'http://schemas.openxmlformats.org/drawingml/2006/chart': 'c',
  'http://purl.oclc.org/ooxml/drawingml/chart': 'c',
  'http://schemas.microsoft.com/office/drawing/2014/chartex': 'c',
  'http://schemas.openxmlformats.org/drawingml/2006/diagram': 'dgm',
  'http://purl.oclc.org/ooxml/drawingml/diagram': 'dgm',
  'http://schemas.microsoft.com/office/word/2010/wordprocessingShape': 'wps',
  'http://schemas.microsoft.com/office/word/2010/wordprocessingGroup': 'wpg',
  'http://schemas.microsoft.com/office/word/2010/wordprocessingCanvas': 'wpc',
  'http://schemas.microsoft.com/office/word/2010/wordprocessingInk': 'wpi',
  'http://schemas.openxmlformats.org/markup-compatibility/2006': 'mc',
  'urn:schemas-microsoft-com:vml': 'v',
  'urn:schemas-microsoft-com:office:office': 'o',
}

/** The usual prefix of a namespace; a document may choose any prefix. */
export function usualPrefix(uri: string): string | undefined {
  return URIS[uri]
}

const FATES = new Map<string, Fate>([
  ...fates('drawn', 'w', 'document body p r t tab noBreakHyphen softHyphen sym hyperlink tbl tr tc br sdt sdtContent'),
  ...fates('drawn', 'w', 'footnoteReference endnoteReference customXml smartTag drawing pict txbxContent'),
  ...fates('drawn', 'w', 'footnotes endnotes footnote endnote bookmarkStart fldChar'),
  ...fates('properties', 'w', 'pPr rPr tblPr trPr tcPr sectPr sdtPr sdtEndPr tblGrid tblPrEx smartTagPr customXmlPr'),
  ...fates('properties', 'w', 'ffData fldData background'),
  ...fates('nothing', 'w', 'bookmarkEnd proofErr lastRenderedPageBreak commentRangeStart commentRangeEnd permStart'),
  ...fates('nothing', 'w', 'permEnd annotationRef footnoteRef endnoteRef separator continuationSeparator instrText'),
  ...fates('nothing', 'w', 'moveFromRangeStart moveFromRangeEnd moveToRangeStart moveToRangeEnd delInstrText'),
  ...fates('nothing', 'w', 'customXmlInsRangeStart customXmlInsRangeEnd customXmlDelRangeStart customXmlDelRangeEnd'),
  ...fates('nothing', 'w', 'customXmlMoveFromRangeStart customXmlMoveFromRangeEnd customXmlMoveToRangeStart'),
  ...fates('nothing', 'w', 'customXmlMoveToRangeEnd'),
  ...fates('comments', 'w', 'commentReference'),
  ...fates('deletions', 'w', 'del moveFrom delText'),
  ...fates('insertions', 'w', 'ins moveTo'),
  ...fates('embedded', 'w', 'object'),
  ...fates('macros', 'w', 'control'),
  ...fates('fields', 'w', 'fldSimple pgNum dayShort dayLong monthShort monthLong yearShort yearLong'),
  ...fates('characters', 'w', 'cr ptab'),
  ...fates('ruby', 'w', 'ruby'),
  ...fates('bidirectional', 'w', 'dir bdo'),
  ...fates('inserted', 'w', 'altChunk subDoc contentPart'),
  ...fates('formulas', 'm', 'oMath'),
  ...fates('drawn', 'm', 'oMathPara'),
  ...fates('charts', 'c', 'chart'),
  ...fates('diagrams', 'dgm', 'relIds'),
  ...fates('shapes', 'wps', 'wsp'),
  ...fates('shapes', 'wpg', 'wgp'),
  ...fates('shapes', 'wpc', 'wpc'),
  ...fates('shapes', 'wpi', 'contentPart'),
  ...fates('shapes', 'v', 'line oval polyline arc curve image textpath'),
  // Text and pictures inside these are drawn; see the scan.
  ...fates('drawn', 'v', 'shape rect roundrect group textbox imagedata'),
])

function fates(fate: Fate, prefix: string, names: string): [name: string, fate: Fate][] {
  return names.split(' ').map((name) => [`${prefix}:${name}`, fate])
}

/** `name`: with its usual prefix. Mammoth also leaves out unknown elements of the main vocabulary. */
export function fateOf(name: string): Fate {
  return FATES.get(name) ?? (name.startsWith('w:') ? 'other' : 'nothing')
}

/** Whether this table decides on the name. The rest of VML only describes how shapes look. */
export function isDecided(name: string): boolean {
  return FATES.has(name) || /^(?:w|v|o|office-word):/.test(name)
}

/** Whether mammoth draws an element in part: what is inside is drawn too. */
export function isInside(fate: Fate): boolean {
  return fate === 'drawn' || fate === 'insertions' || fate === 'nothing'
}

const NO_CONTENT =
  /^(?:\[Content_Types\]\.xml|_rels\/.*|docProps\/.*|customXml\/.*|customUI\/.*|userCustomization\/.*|.*\/|.*\/_rels\/[^/]*|_xmlsignatures\/.*)$/
const WORD_PARTS =
  /^(?:document\d*|styles\d*|stylesWithEffects|settings\d*|webSettings\d*|fontTable\d*|numbering\d*|header\d*|footer\d*|footnotes\d*|endnotes\d*|comments\w*|people|vbaData|attachedToolbars|customizations|keyMapCustomizations|documentProtection|intelligence2?)\.xml$/
// The element that refers to one of these parts reports the loss.
const REFERRED = /^(?:theme|media|fonts|charts|diagrams|embeddings|glossary|drawings|ink|webextensions|afchunk[^/]*)\b/i

/** What the name of a part alone says about a loss; undefined: nothing. */
export function partLeftOut(name: string): 'macros' | 'other' | undefined {
  if (NO_CONTENT.test(name)) return undefined
  if (/^word\/(?:vbaProject\.bin|activeX\/.*)$/.test(name)) return 'macros'
  const inWord = /^word\/(.*)$/.exec(name)?.[1]
  if (inWord === undefined) return /\.(?:xml|rels|docx|html?|mht|rtf|txt)$/i.test(name) ? 'other' : undefined
  return WORD_PARTS.test(inWord) || REFERRED.test(inWord) ? undefined : 'other'
}
