// Each part and element of a DOCX is drawn, or said to be left out, with words of the paragraph that it is in.
import { describe, expect, test } from 'vitest'
import { fateOf } from '../../../src/workers/document_conversion/docx-names.ts'
import { zipStored } from '../../../src/workers/document_conversion/zip.ts'
import { shown, toPdf } from './conversions.ts'

const OFFICE = 'http://schemas.openxmlformats.org'
const SPACES = [
  `xmlns:w="${OFFICE}/wordprocessingml/2006/main"`,
  `xmlns:r="${OFFICE}/officeDocument/2006/relationships"`,
  `xmlns:m="${OFFICE}/officeDocument/2006/math"`,
  `xmlns:a="${OFFICE}/drawingml/2006/main"`,
  `xmlns:pic="${OFFICE}/drawingml/2006/picture"`,
  `xmlns:c="${OFFICE}/drawingml/2006/chart"`,
  `xmlns:dgm="${OFFICE}/drawingml/2006/diagram"`,
  `xmlns:wp="${OFFICE}/drawingml/2006/wordprocessingDrawing"`,
  `xmlns:mc="${OFFICE}/markup-compatibility/2006"`,
  'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"',
  'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"',
  'xmlns:v="urn:schemas-microsoft-com:vml"',
  'xmlns:o="urn:schemas-microsoft-com:office:office"',
].join(' ')

function docx(body: string, parts: Record<string, string> = {}): Buffer {
  const all = {
    '[Content_Types].xml': `<Types xmlns="${OFFICE}/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`,
    '_rels/.rels': `<Relationships xmlns="${OFFICE}/package/2006/relationships"><Relationship Id="r1" Type="${OFFICE}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
    'word/_rels/document.xml.rels': `<Relationships xmlns="${OFFICE}/package/2006/relationships"><Relationship Id="r9" Type="image" Target="file:///a.png" TargetMode="External"/></Relationships>`,
    'word/document.xml': `<w:document ${SPACES}><w:body>${body}</w:body></w:document>`,
    ...parts,
  }
  return zipStored(Object.entries(all).map(([name, text]) => ({ name, bytes: Buffer.from(text) })))
}

const run = (text: string, properties = '') =>
  `<w:r>${properties === '' ? '' : `<w:rPr>${properties}</w:rPr>`}<w:t xml:space="preserve">${text}</w:t></w:r>`
const paragraph = (content: string) => `<w:p>${content}</w:p>`
const drawing = (graphic: string) =>
  `<w:r><w:drawing><wp:inline><a:graphic><a:graphicData>${graphic}</a:graphicData></a:graphic></wp:inline></w:drawing></w:r>`

describe('what is left out is said, with its paragraph', () => {
  const cases: Record<string, [content: string, code: string, message: RegExp]> = {
    'a comment': ['<w:r><w:commentReference w:id="1"/></w:r>', 'CONTENT_DROPPED', /^comments/],
    'deleted text': ['<w:del><w:r><w:delText>old</w:delText></w:r></w:del>', 'CONTENT_DROPPED', /deleted or moved/],
    'text moved elsewhere': [`<w:moveFrom>${run('old')}</w:moveFrom>`, 'CONTENT_DROPPED', /deleted or moved/],
    'inserted text': [`<w:ins>${run(' new')}</w:ins>`, 'CONTENT_SIMPLIFIED', /inserted or moved/],
    'text moved here': [`<w:moveTo>${run(' new')}</w:moveTo>`, 'CONTENT_SIMPLIFIED', /inserted or moved/],
    'a chart': [drawing('<c:chart r:id="r9"/>'), 'CONTENT_DROPPED', /^charts/],
    'a diagram': [drawing('<dgm:relIds r:dm="r9"/>'), 'CONTENT_DROPPED', /^diagrams/],
    'a text box': [
      drawing(`<wps:wsp><wps:txbx><w:txbxContent>${paragraph(run('boxed'))}</w:txbxContent></wps:txbx></wps:wsp>`),
      'CONTENT_DROPPED',
      /^text boxes and shapes/,
    ],
    'alternatives without one for old readers': [
      `<w:r><mc:AlternateContent><mc:Choice Requires="wps">${drawing('<wps:wsp/>')}</mc:Choice></mc:AlternateContent></w:r>`,
      'CONTENT_DROPPED',
      /^text boxes and shapes/,
    ],
    'a shape': ['<w:r><w:pict><v:shape/></w:pict></w:r>', 'CONTENT_DROPPED', /^text boxes and shapes/],
    'a line': ['<w:r><w:pict><v:line/></w:pict></w:r>', 'CONTENT_DROPPED', /^text boxes and shapes/],
    'an embedded object': ['<w:r><w:object><o:OLEObject/></w:object></w:r>', 'CONTENT_DROPPED', /^embedded objects/],
    'a formula': [
      '<m:oMathPara><m:oMath><m:r><m:t>x=1</m:t></m:r></m:oMath></m:oMathPara>',
      'CONTENT_DROPPED',
      /^formulas/,
    ],
    'a field': [`<w:fldSimple w:instr="DATE">${run('today')}</w:fldSimple>`, 'CONTENT_DROPPED', /^fields/],
    'a choice in a form': [
      '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList/></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>',
      'CONTENT_DROPPED',
      /^choices of form fields/,
    ],
    'a carriage return': ['<w:r><w:cr/></w:r>', 'CONTENT_DROPPED', /^special characters/],
    'a reading': ['<w:r><w:ruby><w:rubyBase/></w:ruby></w:r>', 'CONTENT_DROPPED', /^text with a reading/],
    'text with a direction': [`<w:bdo w:val="rtl">${run('abc')}</w:bdo>`, 'CONTENT_DROPPED', /direction of its own/],
    'a document in the document': ['<w:altChunk r:id="r9"/>', 'CONTENT_DROPPED', /^documents inside/],
    'an element that nobody knows': ['<w:hologram/>', 'CONTENT_DROPPED', /unknown kind/],
    'a double strike-through': [run(' void', '<w:dstrike/>'), 'CONTENT_SIMPLIFIED', /struck through twice/],
    'hidden text': [run(' hidden', '<w:vanish/>'), 'CONTENT_SIMPLIFIED', /^hidden text is drawn/],
    'a picture that is not in the document': [
      drawing('<pic:pic><pic:blipFill><a:blip r:link="r9"/></pic:blipFill></pic:pic>'),
      'CONTENT_SIMPLIFIED',
      /^pictures other than embedded PNG or JPEG are left out/,
    ],
  }
  for (const [what, [content, code, message]] of Object.entries(cases)) {
    test(what, async () => {
      const document = docx(paragraph(run('Before')) + paragraph(run('Total of the year: 17') + content))
      const { warnings } = await toPdf(document, 'docx')
      const place = expect.stringMatching(/^in "Total of the year: 17/) as string
      expect(warnings).toMatchObject([{ code, count: 1, places: [place] }])
      expect(warnings[0]?.message).toMatch(message)
    })
  }

  test('a row that is deleted', async () => {
    const row = (text: string, properties = '') =>
      `<w:tr><w:trPr>${properties}</w:trPr><w:tc>${paragraph(run(text))}</w:tc><w:tc>${paragraph(run('x'))}</w:tc></w:tr>`
    const pdf = await toPdf(
      docx(paragraph(run('Before')) + `<w:tbl>${row('kept')}${row('gone', '<w:del/>')}</w:tbl>`),
      'docx',
    )
    expect(pdf.warnings).toMatchObject([{ code: 'CONTENT_DROPPED', count: 1, places: ['after "x"'] }])
  })

  test('a row that begins in a later column', async () => {
    const cells = (...texts: string[]) => texts.map((text) => `<w:tc>${paragraph(run(text))}</w:tc>`).join('')
    const rows = `<w:tr>${cells('a', 'b')}</w:tr><w:tr><w:trPr><w:gridBefore w:val="1"/></w:trPr>${cells('b2')}</w:tr>`
    expect((await toPdf(docx(`<w:tbl>${rows}</w:tbl>`), 'docx')).warnings).toMatchObject([
      {
        code: 'CONTENT_SIMPLIFIED',
        message: expect.stringMatching(/^table rows that begin/) as string,
        places: ['after "b"'],
      },
    ])
  })

  test('headers and footers, by their words', async () => {
    const margin = (kind: string, content: string) => `<w:${kind} ${SPACES}>${content}</w:${kind}>`
    const document = docx(paragraph(run('a')), {
      'word/header1.xml': margin('hdr', paragraph(run('Confidential') + run(' draft'))),
      'word/header2.xml': margin('hdr', paragraph('')),
      'word/footer1.xml': margin('ftr', paragraph('<w:fldSimple w:instr="PAGE"/>')),
    })
    expect((await toPdf(document, 'docx')).warnings).toStrictEqual([
      { code: 'CONTENT_DROPPED', message: 'page headers are left out', count: 1, places: ['"Confidential draft"'] },
      {
        code: 'CONTENT_DROPPED',
        message: 'page footers are left out',
        count: 1,
        places: ['a picture or field without text'],
      },
    ])
  })

  test('macros, and parts of a kind that nobody knows', async () => {
    const document = docx(paragraph(run('a')), { 'word/vbaProject.bin': 'x', 'word/hologram.xml': '<a/>' })
    expect((await toPdf(document, 'docx')).warnings).toMatchObject([
      { code: 'ACTIVE_CONTENT_DROPPED', places: ['in the part "word/vbaProject.bin"'] },
      { code: 'CONTENT_DROPPED', places: ['in the part "word/hologram.xml"'] },
    ])
  })

  test('numbers of a list that are not drawn as they are', async () => {
    const level = (format: string, text: string) =>
      `<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="${format}"/><w:lvlText w:val="${text}"/></w:lvl>`
    const numbering = (format: string, text: string) => ({
      'word/numbering.xml': `<w:numbering ${SPACES}><w:abstractNum w:abstractNumId="0">${level(format, text)}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>`,
    })
    const item = (text: string) =>
      `<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>${run(text)}</w:p>`
    const read = async (body: string, format: string, text: string) =>
      (await toPdf(docx(body, numbering(format, text)), 'docx')).warnings
    const said = [
      { code: 'CONTENT_SIMPLIFIED', message: expect.stringMatching(/^lists are numbered again/) as string, count: 1 },
    ]
    expect(await read(item('one'), 'decimal', '%1.')).toStrictEqual([])
    expect(await read(item('one'), 'bullet', '-')).toStrictEqual([])
    expect(await read(item('one'), 'lowerLetter', '(%1)')).toMatchObject([{ ...said[0], places: ['in "one"'] }])
    // The list goes on after a paragraph of its own: mammoth begins again at 1.
    const interrupted = item('one') + paragraph(run('between')) + item('two')
    expect(await read(interrupted, 'decimal', '%1.')).toMatchObject([{ ...said[0], places: ['in "two"'] }])
  })
})

describe('what is drawn is not said', () => {
  const box = (checked: string) =>
    `<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="${checked}"/></w14:checkbox></w:sdtPr><w:sdtContent>${run('\u2610')}</w:sdtContent></w:sdt>`
  const field = (checked: string) =>
    `<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:checked w:val="${checked}"/></w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:instrText>FORMCHECKBOX</w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>`
  const cell = (text: string, properties = '') => `<w:tc><w:tcPr>${properties}</w:tcPr>${paragraph(run(text))}</w:tc>`
  const cases: Record<string, [body: string, text: string]> = {
    'raised and lowered text': [
      paragraph(
        run('10') +
          run('3', '<w:vertAlign w:val="superscript"/>') +
          run(' H') +
          run('2', '<w:vertAlign w:val="subscript"/>'),
      ),
      '10\u00b3 H\u2082',
    ],
    'content controls that are check boxes': [
      paragraph(box('1') + run('yes ') + box('0') + run('no')),
      '[x] yes [ ] no',
    ],
    'form fields that are check boxes': [
      paragraph(field('1') + run('yes ') + field('0') + run('no')),
      '[x] yes [ ] no',
    ],
    'cells of several rows': [
      `<w:tbl><w:tr>${cell('a', '<w:vMerge w:val="restart"/>')}${cell('b1')}</w:tr><w:tr>${cell('', '<w:vMerge/>')}${cell('b2')}</w:tr></w:tbl>`,
      'a b1 b2',
    ],
    'a field with its result': [
      paragraph(
        `<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>${run('7')}<w:r><w:fldChar w:fldCharType="end"/></w:r>`,
      ),
      '7',
    ],
    'a text box for old readers': [
      paragraph(
        `<w:r><mc:AlternateContent><mc:Choice Requires="wps">${drawing('<wps:wsp/>')}</mc:Choice><mc:Fallback><w:pict><v:rect><v:textbox><w:txbxContent>${paragraph(run('boxed'))}</w:txbxContent></v:textbox></v:rect></w:pict></mc:Fallback></mc:AlternateContent></w:r>`,
      ),
      'boxed',
    ],
  }
  for (const [what, [body, text]] of Object.entries(cases)) {
    test(what, async () => {
      expect((await shown(docx(body), 'docx')).trim()).toBe(text)
      expect((await toPdf(docx(body), 'docx')).warnings).toStrictEqual([])
    })
  }

  test('notes, with the number that refers to them', async () => {
    const document = docx(paragraph(run('Fact') + '<w:r><w:footnoteReference w:id="2"/></w:r>'), {
      'word/footnotes.xml': `<w:footnotes ${SPACES}><w:footnote w:id="2">${paragraph(run('Source.') + '<w:r><w:commentReference w:id="1"/></w:r>')}</w:footnote></w:footnotes>`,
    })
    expect((await shown(document, 'docx')).trim()).toBe('Fact[1] 1. Source. ^')
    expect((await toPdf(document, 'docx')).warnings).toMatchObject([
      { code: 'CONTENT_DROPPED', message: 'comments are left out', places: ['in the footnotes: "Source."'] },
    ])
  })
})

test('a name with another prefix is the same name', async () => {
  const body = paragraph(run('Text') + '<w:r><w:commentReference w:id="1"/></w:r>')
  const other = docx('', {
    'word/document.xml': `<x:document ${SPACES} xmlns:x="${OFFICE}/wordprocessingml/2006/main"><x:body>${body.replaceAll('w:', 'x:')}</x:body></x:document>`,
  })
  expect((await toPdf(other, 'docx')).warnings).toMatchObject([
    { message: 'comments are left out', places: ['in "Text"'] },
  ])
})

test('every element that may stand beside text has been decided on', () => {
  // ECMA-376 part 1, groups EG_BlockLevelElts, EG_PContent, EG_RunInnerContent, EG_RangeMarkupElements.
  const elements =
    'p tbl tr tc sdt customXml altChunk r hyperlink fldSimple subDoc smartTag dir bdo ins del moveFrom moveTo permStart ' +
    'permEnd proofErr bookmarkStart bookmarkEnd commentRangeStart commentRangeEnd br t contentPart delText instrText ' +
    'delInstrText noBreakHyphen softHyphen dayShort monthShort yearShort dayLong monthLong yearLong annotationRef ' +
    'footnoteRef endnoteRef separator continuationSeparator sym pgNum cr tab object pict fldChar ruby footnoteReference ' +
    'endnoteReference commentReference drawing ptab lastRenderedPageBreak moveFromRangeStart moveToRangeEnd'
  expect(elements.split(' ').filter((name) => fateOf(`w:${name}`) === 'other')).toStrictEqual([])
})
