import { deflateRawSync } from 'node:zlib'
import {
  Document,
  ExternalHyperlink,
  HeadingLevel,
  type IRunOptions,
  ImageRun,
  Packer,
  Paragraph,
  Table,
  TableCell,
  TableRow,
  TextRun,
} from 'docx'
import { beforeAll, describe, expect, test } from 'vitest'
import { unzip, zipStored, type ZipEntry } from '../../../src/workers/document_conversion/zip.ts'
import { base64, refusal, textOf, toPdf } from './conversions.ts'

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const GIF = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'

let docx: Buffer
let parts: ZipEntry[]
beforeAll(async () => {
  const picture = (type: 'png' | 'gif', data: string) =>
    new ImageRun({ type, data: Buffer.from(data, 'base64'), transformation: { width: 40, height: 40 } })
  const slanted: IRunOptions = { text: 'slanted ', italics: true }
  const cell = (text: string) => new TableCell({ children: [new Paragraph(text)] })
  const children = [
    new Paragraph({ text: 'Отчёт', heading: HeadingLevel.HEADING_1 }),
    new Paragraph({
      children: [
        new TextRun('plain '),
        new TextRun(slanted),
        new ExternalHyperlink({ link: 'https://example.org/', children: [new TextRun('link')] }),
      ],
    }),
    new Paragraph({ text: 'item', bullet: { level: 0 } }),
    new Table({ rows: [new TableRow({ children: [cell('a'), cell('b')] })] }),
    new Paragraph({ children: [picture('png', PNG), picture('gif', GIF)] }),
  ]
  docx = await Packer.toBuffer(new Document({ sections: [{ children }] }))
  parts = unzip(docx, () => true)
})

function changed(name: string, change: (text: string) => string): Buffer {
  return zipStored(
    parts.map((part) => (part.name === name ? { name, bytes: Buffer.from(change(part.bytes.toString())) } : part)),
  )
}

function refused(document: Uint8Array) {
  return refusal('document_to_pdf', { document_data: base64(document), source_format: 'docx' })
}

describe('DOCX to PDF', () => {
  test('has headings, styles, links, lists, tables and pictures', async () => {
    const pdf = await toPdf(docx, 'docx')
    expect(await textOf(pdf)).toBe('Отчёт plain slanted link (https://example.org/) • item a b')
    expect(Buffer.from(pdf.converted_data, 'base64').toString('latin1')).toContain('/Subtype /Image')
    // The GIF.
    expect(pdf.warnings).toMatchObject([{ code: 'CONTENT_SIMPLIFIED', count: 1 }])
  })

  test('reads no picture from outside of the document', async () => {
    const linked = changed('word/_rels/document.xml.rels', (text) =>
      text.replaceAll(/Target="media\/[^"]*"/g, 'Target="file:///etc/hostname" TargetMode="External"'),
    )
    const document = unzip(linked, () => true).map((part) =>
      part.name === 'word/document.xml'
        ? { ...part, bytes: Buffer.from(part.bytes.toString().replaceAll('r:embed=', 'r:link=')) }
        : part,
    )
    const pdf = await toPdf(zipStored(document), 'docx')
    expect(Buffer.from(pdf.converted_data, 'base64').toString('latin1')).not.toContain('/Subtype /Image')
    expect(pdf.warnings).toMatchObject([{ code: 'CONTENT_SIMPLIFIED' }])
  })
})

describe('refuses', () => {
  test('what is not a ZIP file, and a ZIP file that is not a DOCX', async () => {
    expect(await refused(Buffer.from('hello'))).toMatchObject({ status: 415, error: 'INVALID_FORMAT' })
    const zip = zipStored([{ name: 'a.txt', bytes: Buffer.from('a') }])
    expect(await refused(zip)).toMatchObject({ status: 415, error: 'INVALID_FORMAT' })
  })

  test('a document that breaks off', async () => {
    expect(await refused(docx.subarray(0, docx.length / 2))).toMatchObject({ status: 422, error: 'CORRUPT_DOCUMENT' })
  })

  test('a document whose XML is broken, or that lacks its main part', async () => {
    const broken = changed('word/document.xml', (text) => text.slice(0, text.length / 2))
    expect(await refused(broken)).toMatchObject({ status: 422, error: 'CORRUPT_DOCUMENT' })
    const empty = zipStored(parts.filter(({ name }) => name !== 'word/document.xml'))
    expect(await refused(empty)).toMatchObject({ status: 422, error: 'CORRUPT_DOCUMENT' })
  })

  test('entities that stand for each other', async () => {
    const entities = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    const document = changed('word/document.xml', (text) =>
      text.replace('<w:document', `${entities}<w:document`).replace('Отчёт', '&b;'),
    )
    expect(await refused(document)).toMatchObject({ status: 422, error: 'CORRUPT_DOCUMENT' })
  })

  test('XML that nests too deeply', async () => {
    const nested = changed('word/document.xml', (text) =>
      text.replace('Отчёт', `${'<w:r>'.repeat(30_000)}${'</w:r>'.repeat(30_000)}`),
    )
    expect(await refused(nested)).toMatchObject({ status: 413, error: 'LIMIT_EXCEEDED' })
  })

  test('a decompression bomb by what it claims', async () => {
    const bomb = zipOf({ claimed: 2 ** 31, packed: deflateRawSync(Buffer.from('a')) })
    expect(await refused(bomb)).toMatchObject({
      status: 413,
      error: 'LIMIT_EXCEEDED',
      message: 'the document is larger than 67108864 bytes when it is unpacked',
    })
  })

  test('a decompression bomb that claims to be small', async () => {
    const bomb = zipOf({ claimed: 1, packed: deflateRawSync(Buffer.alloc(80 * 1024 * 1024)) })
    expect(bomb.length).toBeLessThan(200_000)
    expect(await refused(bomb)).toMatchObject({ status: 413, error: 'LIMIT_EXCEEDED' })
  })

  test('an encrypted entry, and one that is packed in another way', async () => {
    const packed = deflateRawSync(Buffer.from('a'))
    expect(await refused(zipOf({ claimed: 1, packed, flags: 1 }))).toMatchObject({
      status: 422,
      message: 'the document is encrypted',
    })
    expect(await refused(zipOf({ claimed: 1, packed, method: 12 }))).toMatchObject({ error: 'CORRUPT_DOCUMENT' })
  })

  test('too many parts', async () => {
    const many = Array.from({ length: 2_001 }, (_, at) => ({ name: `word/${at}.xml`, bytes: Buffer.alloc(0) }))
    expect(await refused(zipStored(many))).toMatchObject({
      status: 413,
      message: 'the document has 2001 parts, at most 2000 are read',
    })
  })
})

/** A ZIP file with one entry, word/document.xml, which may lie about itself. */
function zipOf({
  claimed,
  packed,
  flags = 0,
  method = 8,
}: {
  claimed: number
  packed: Buffer
  flags?: number
  method?: number
}) {
  const zip = zipStored([{ name: 'word/document.xml', bytes: packed }])
  const central = zip.indexOf('PK\u0001\u0002')
  zip.writeUInt16LE(flags, central + 8)
  zip.writeUInt16LE(method, central + 10)
  zip.writeUInt32LE(claimed, central + 24)
  return zip
}
