import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Document, Packer, Paragraph, TextRun } from 'docx'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unzip, zipStored } from '../../../src/workers/document_conversion/zip.ts'
import { createDocumentConversion } from '../../../src/workers/document_conversion/worker.ts'
import { call, createTestWorker, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { base64 } from './conversions.ts'
import { rawPdf, showing } from './raw-pdf.ts'

// The worker as it is, with its threads; a server on this machine that counts whoever connects.
const definition = createDocumentConversion()
let worker: TestWorker
let server: Server
let url: string
let connections = 0

beforeAll(async () => {
  worker = await createTestWorker(definition)
  server = createServer((_request, response) => response.end('SECRET'))
  server.on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  await definition.close?.()
  server.close()
  server.closeAllConnections()
})

const inHtml = (at: string) => `
  <!DOCTYPE html SYSTEM "${at}/dtd"><html manifest="${at}/m"><head><base href="${at}/">
  <link rel="stylesheet" href="${at}/css"><link rel="preload" as="image" href="${at}/p"><link rel="icon" href="${at}/i">
  <meta http-equiv="refresh" content="0; url=${at}/r"><style>@import "${at}/s"; p { background: url(${at}/u) }</style>
  <script src="${at}/js"></script><script>fetch("${at}/f"); import("${at}/e")</script></head>
  <body background="${at}/b" onload="fetch('${at}/l')"><p style="background: url('${at}/bg')">text</p>
  <img src="${at}/1.png" srcset="${at}/2.png 2x" alt="a"><img src="//${at.slice(7)}/3.png"><img src="relative.png">
  <picture><source srcset="${at}/4.webp"><img src="${at}/5.png"></picture><iframe src="${at}/6"></iframe>
  <object data="${at}/7"><embed src="${at}/8"></object><video src="${at}/9" poster="${at}/10"></video>
  <audio src="${at}/11"></audio><svg><image href="${at}/12"/><use href="${at}/13#x"/></svg>
  <input type="image" src="${at}/14"><form action="${at}/15"></form><a href="${at}/16" ping="${at}/17">link</a>
  <img src="file:///etc/hostname"></body></html>`

async function convert(capability: string, input: object) {
  const answer = await call(worker, `convert:${capability}`, input)
  expect(answer.status).toBe(200)
  return answer.json() as { converted_data: string; warnings: { code: string }[] }
}

async function externalDocx(): Promise<Buffer> {
  const document = new Document({ sections: [{ children: [new Paragraph({ children: [new TextRun('HERE')] })] }] })
  const drawing =
    '</w:t></w:r><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">' +
    '<a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData>' +
    '<pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill><a:blip r:link="rIdX"/>' +
    '</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r><w:r><w:t>after'
  const relationship =
    `<Relationship Id="rIdX" TargetMode="External" Target="${url}/docx.png" ` +
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"/></Relationships>'
  const parts = unzip(await Packer.toBuffer(document), () => true).map(({ name, bytes }) => {
    const text = bytes.toString()
    if (name === 'word/document.xml') return { name, bytes: Buffer.from(text.replace('HERE', drawing)) }
    if (name === 'word/_rels/document.xml.rels')
      return { name, bytes: Buffer.from(text.replace('</Relationships>', relationship)) }
    return { name, bytes }
  })
  return zipStored(parts)
}

test('nothing that a document refers to is fetched', async () => {
  const html = await convert('html_to_pdf', { document_data: base64(inHtml(url)) })
  expect(html.warnings.map(({ code }) => code)).toContain('REMOTE_CONTENT_DROPPED')
  const markdown = `![a](${url}/md.png) <img src="${url}/md2.png"> [b](${url}/md)`
  await convert('document_to_pdf', { document_data: base64(markdown), source_format: 'markdown' })
  await convert('document_to_pdf', { document_data: base64(await externalDocx()), source_format: 'docx' })
  await convert('email_to_text', { raw_email: `Subject: a\r\nContent-Type: text/html\r\n\r\n${inHtml(url)}` })
  const external = `Content-Type: message/external-body; access-type=URL; URL="${url}/mail"`
  await convert('email_to_text', { raw_email: `Subject: a\r\n${external}\r\n\r\nContent-Type: text/plain\r\n\r\n` })
  const file = `/F << /FS /URL /F (${url}/stream) >> /Filter /FlateDecode`
  const action = `/OpenAction << /S /URI /URI (${url}/open) >> /AA << /WC << /S /JavaScript /JS (app.launchURL\\("${url}"\\)) >> >>`
  await convert('pdf_to_text', { document_data: base64(rawPdf(showing('a'), file, action)) })
  expect(connections).toBe(0)

  // The server does see who comes.
  await fetch(url)
  expect(connections).toBe(1)
})

test('a document that was converted shows the addresses of its links only', async () => {
  const { converted_data } = await convert('html_to_pdf', { document_data: base64(inHtml(url)) })
  const text = await convert('pdf_to_text', { document_data: converted_data })
  const shown = Buffer.from(text.converted_data, 'base64').toString()
  expect(shown).toContain(`link (${url}/16)`)
  expect(shown.split(url)).toHaveLength(2)
  expect(Buffer.from(converted_data, 'base64').toString('latin1')).not.toContain('/URI')
})
