// Whatever comes in, the answer is a good one or one of the declared refusals: never a fault of the worker, never silence.
import { Document, Packer, Paragraph, TextRun } from 'docx'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConversionFault } from '../../../src/workers/document_conversion/task.ts'
import { createConversionThreads } from '../../../src/workers/document_conversion/threads.ts'
import { createDocumentConversion } from '../../../src/workers/document_conversion/worker.ts'
import { splitMbox } from '../../../src/workers/document_conversion/mbox.ts'
import { unzip } from '../../../src/workers/document_conversion/zip.ts'
import { call, createTestWorker, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { ask, base64, textOf, toPdf, type PdfAnswer } from './conversions.ts'

const REFUSALS = new Set(['INVALID_FORMAT', 'CORRUPT_DOCUMENT', 'INVALID_EMAIL', 'LIMIT_EXCEEDED', 'INVALID_INPUT'])
// Threads that end what hangs: pdf.js in this process could not be stopped.
const definition = createDocumentConversion({
  threads: createConversionThreads({
    entry: new URL('../../../src/workers/document_conversion/thread-main.ts', import.meta.url),
    threads: 2,
    cpuLimitMs: 10_000,
    wallLimitMs: 120_000,
    memoryLimitMb: 256,
  }),
})
let worker: TestWorker
beforeAll(async () => {
  worker = await createTestWorker(definition)
})
afterAll(() => definition.close?.())

function expectAnswer({ status, json }: { status: number; json: () => unknown }): void {
  const body = json() as { error?: string }
  expect({ status, error: body.error }).toSatisfy(
    () => status === 200 || (status < 500 && REFUSALS.has(body.error ?? '')),
  )
}

/** Bytes that are nearly `sound`: some overwritten, a piece taken out, a piece put in twice. */
function damaged(sound: () => Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const change = fc.record({ at: place, kind: fc.nat(2), byte: fc.nat(255), length: fc.nat(64) })
  return fc.array(change, { minLength: 1, maxLength: 6 }).map((changes) => {
    let bytes = Buffer.from(sound())
    for (const { at, kind, byte, length } of changes) {
      const start = Math.floor(at * bytes.length)
      if (kind === 0) bytes.fill(byte, start, start + 1)
      else
        bytes = Buffer.concat([
          bytes.subarray(0, kind === 1 ? start : start + length),
          bytes.subarray(start + length * (kind - 1)),
        ])
    }
    return bytes
  })
}

const word = fc.oneof(
  fc.constantFrom(
    'a',
    ' ',
    '\n',
    '&amp;',
    '&#0;',
    '&#x1F600;',
    '中',
    'é',
    '\u202e',
    '\ud800',
    '<',
    '>',
    '"',
    '\0',
    '\uffff',
  ),
  fc.string({ maxLength: 6 }),
)
const tag = fc.constantFrom(
  ...'p b i h1 h7 ul ol li table tr td th caption a img br hr pre blockquote script style svg title q dl dt dd form sub sup input select option rt ruby tbody progress'.split(
    ' ',
  ),
)
const attribute = fc.constantFrom(
  '',
  ' href="https://example.org/a"',
  ' href="javascript:a"',
  ' src="data:image/png;base64,iVBORw0KGgo="',
  ' src="data:image/jpeg;base64,/9j/4AAQSkZJRg=="',
  ' colspan="3"',
  ' colspan="99999999999"',
  ' colspan="1000"',
  ' rowspan="2"',
  ' rowspan="0"',
  ' type="checkbox" checked',
  ' value="7"',
  ' start="-1"',
  ' hidden',
  ' style="display:none',
  " onclick='a'",
)
const html = fc
  .array(
    fc.oneof(
      fc.tuple(tag, attribute).map(([name, more]) => `<${name}${more}>`),
      tag.map((name) => `</${name}>`),
      word,
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''))

describe('any input is answered', () => {
  test('HTML', async () => {
    await fc.assert(
      fc.asyncProperty(html, async (document) => {
        const answer = await ask('html_to_pdf', { document_data: base64(`x${document}`) })
        expectAnswer(answer)
        if (answer.status === 200) expect(await textOf(answer.json() as PdfAnswer)).not.toContain('javascript:')
      }),
      { numRuns: 40 },
    )
  })

  test('Markdown', async () => {
    const mark = fc.constantFrom(...'# * _ ` > - 1. | |-| [a]( ) ![ ~~~ ``` --- \\ <b> \n \n\n'.split(' '), '    ')
    const markdown = fc.array(fc.oneof(mark, word), { minLength: 1, maxLength: 60 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(markdown, async (text) => {
        const document_data = base64(`x${text}`)
        expectAnswer(await ask('document_to_pdf', { document_data, source_format: 'markdown' }))
      }),
      { numRuns: 40 },
    )
  })

  test('text of any characters', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 400 }), async (text) => {
        expectAnswer(await ask('document_to_pdf', { document_data: base64(text), source_format: 'text' }))
      }),
      { numRuns: 40 },
    )
  })

  test('mails', async () => {
    const name = fc.constantFrom(
      'Subject',
      'From',
      'Content-Type',
      'Content-Transfer-Encoding',
      'Content-Disposition',
      '',
    )
    const value = fc.oneof(
      fc.constantFrom('text/html', 'multipart/mixed; boundary=x', 'message/rfc822', 'base64', 'quoted-printable'),
      fc.constantFrom('=?utf-8?B?////?=', '=?x?Q?=zz?=', 'attachment; filename*0*=a', 'text/plain; charset=utf-7'),
      word,
    )
    const line = fc.oneof(
      fc.tuple(name, value).map(([header, text]) => `${header}: ${text}`),
      fc.constantFrom('', '--x', '--x--', 'From a@b.c Tue Nov 24 08:00:00 2026', '<p>a', 'YQ=='),
      word,
    )
    const mail = fc.array(line, { minLength: 1, maxLength: 30 }).map((lines) => lines.join('\r\n') || 'a')
    await fc.assert(
      fc.asyncProperty(mail, fc.boolean(), async (raw_email, extract_attachments) => {
        expectAnswer(await ask('email_to_text', { raw_email, extract_attachments }))
      }),
    )
  })

  test('DOCX and PDF that are damaged', async () => {
    const paragraph = new Paragraph({ children: [new TextRun('Привет')] })
    const docx = await Packer.toBuffer(new Document({ sections: [{ children: [paragraph] }] }))
    const pdf = Buffer.from(
      (await toPdf('<h1>Title</h1><table><tr><td>a<td>b</table>', 'html')).converted_data,
      'base64',
    )
    await fc.assert(
      fc.asyncProperty(
        damaged(() => docx),
        damaged(() => pdf),
        async (one, other) => {
          const document = { document_data: base64(one) || 'AA==', source_format: 'docx' }
          const answers = await Promise.all([
            call(worker, 'convert:document_to_pdf', document),
            call(worker, 'convert:pdf_to_text', { document_data: base64(other) || 'AA==' }),
          ])
          for (const answer of answers) expectAnswer(answer)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('ZIP files of any bytes', () => {
    const start = Buffer.from('PK\u0003\u0004')
    const end = Buffer.from('PK\u0005\u0006')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes, last) => {
        const zip = Buffer.concat([start, bytes, end, last, Buffer.alloc(2)])
        let thrown: unknown
        try {
          unzip(zip, () => true)
        } catch (error: unknown) {
          thrown = error
        }
        expect(thrown === undefined || thrown instanceof ConversionFault).toBe(true)
      }),
    )
  })

  test('mail files: what is put together comes apart', () => {
    const body = fc.stringMatching(/^[a-z>\n]{0,40}$/).map((text) => `Subject: a\n\n${text}\n\n`)
    fc.assert(
      fc.property(fc.array(body, { minLength: 1, maxLength: 5 }), (mails) => {
        const mbox = mails.map((mail) => `From a@b.c Tue Nov 24 08:00:00 2026\n${mail}`).join('')
        expect(splitMbox(mbox)).toStrictEqual(mails)
      }),
    )
  })
})
