// What the workers' pages promise to take can be sent: each documented maximum above the JSON form's 1 MiB goes through a real
// controller by `crank invoke`, one of them on to a second worker; a byte more is refused by that limit, not on the way.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { workerNamed } from '../../src/workers/registry.ts'
import { crank } from '../cli/crank.ts'
import { startMesh, type Mesh } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { rawPdf, showing } from '../workers/document_conversion/raw-pdf.ts'
import { drawn, graphic } from '../workers/image_classifier/drawn.ts'

/** As docs/workers/ states them. */
const DOCUMENT_BYTES = 10_485_760
const IMAGE_BYTES = 10_000_000
const ZETTEL_BYTES = 4_000_000
const SEARCH_CHARACTERS = 2_000_000

const WORKERS = [
  'document_conversion',
  'email_classifier',
  'image_classifier',
  'semantic_search',
  'zettel_manager',
  'zettel_repository',
]

let parts: AsyncDisposableStack
let mesh: Mesh
let folder = ''
beforeAll(async () => {
  parts = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'crank-limits-'))
  parts.defer(() => rm(folder, { recursive: true, force: true }))
  mesh = await startMesh()
  parts.defer(() => mesh.close())
  for (const name of WORKERS) {
    const definition = await workerNamed(name)!({ stateDir: join(folder, name) })
    const worker = await startRealWorker(mesh, mesh.origin, definition)
    parts.defer(() => worker.close())
  }
})
afterAll(() => parts.disposeAsync())

/** `filler` between `head` and `tail`, as much as makes it `bytes` long. */
const filled = (bytes: number, head: string, tail: string, filler = ' '): Buffer =>
  Buffer.from(head + filler.repeat(bytes - head.length - tail.length) + tail)

async function png(bytes: number): Promise<Buffer> {
  const image = await drawn(512, 512, graphic).png().toBuffer()
  const end = image.length - 12
  // A private chunk, which a decoder passes over (PNG 4.7.2).
  const body = Buffer.concat([Buffer.from('prVt'), Buffer.alloc(bytes - image.length - 12)])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(body.length - 4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([image.subarray(0, end), length, body, sum, image.subarray(end)])
}

function pdf(bytes: number): Buffer {
  const file = rawPdf(showing('Hello'))
  // Readers look for the table from the end: padding as a comment in front of the last lines moves nothing in it.
  const at = file.lastIndexOf('startxref')
  const comment = filled(bytes - file.length, '%', '\n', 'x')
  return Buffer.concat([file.subarray(0, at), comment, file.subarray(at)])
}

const mail = (bytes: number): Buffer =>
  filled(
    bytes,
    'From: a@b.example\r\nTo: c@d.example\r\nSubject: Minutes\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nHello, here are the minutes of the meeting and the numbers of the quarter.\r\n--B\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\n',
    '\r\n--B--\r\n',
    'a',
  )

const html = (bytes: number): Buffer => filled(bytes, '<p>Hello</p><!--', '-->', 'x')

type Sent = { readonly capability: string; readonly as: string; readonly option: string; readonly data: object }
async function send({ capability, as, option, data }: Sent, bytes: Buffer) {
  const file = join(folder, 'payload')
  await writeFile(file, bytes)
  const [name, member] = option.split(' ')
  const args = [
    'invoke',
    capability,
    '--data',
    JSON.stringify(data),
    name!,
    `${member}=${file}`,
    '-o',
    'json',
    '--timeout-ms',
    '120000',
  ]
  const env = { CONTROLLER_URL: mesh.origin, ...(await mesh.tlsEnv(`worker/${as}`)) }
  const { stdout, stderr } = await crank(args, { env })
  expect(stdout, stderr).not.toBe('')
  return JSON.parse(stdout) as { status: number; body: { error?: string } }
}

const converting = { as: 'document-conversion', option: '--file document_data' }
const maxima: Record<
  string,
  Sent & { bytes: number; make: (bytes: number) => Buffer | Promise<Buffer>; beyond: [number, string] }
> = {
  'a document': {
    ...converting,
    capability: 'convert:document_to_pdf',
    data: { source_format: 'html' },
    bytes: DOCUMENT_BYTES,
    make: html,
    beyond: [413, 'LIMIT_EXCEEDED'],
  },
  'a page of HTML': {
    ...converting,
    capability: 'convert:html_to_pdf',
    data: {},
    bytes: DOCUMENT_BYTES,
    make: html,
    beyond: [413, 'LIMIT_EXCEEDED'],
  },
  'a PDF': {
    ...converting,
    capability: 'convert:pdf_to_text',
    data: {},
    bytes: DOCUMENT_BYTES,
    make: pdf,
    beyond: [413, 'LIMIT_EXCEEDED'],
  },
  'a mail': {
    ...converting,
    capability: 'convert:email_to_text',
    option: '--file raw_email',
    data: { encoding: 'base64' },
    bytes: DOCUMENT_BYTES,
    make: mail,
    beyond: [413, 'LIMIT_EXCEEDED'],
  },
  'a mail that goes on to the converter': {
    capability: 'classify:email_category',
    as: 'email-classifier',
    option: '--file email_content',
    data: { content_format: 'message_base64', classification_types: ['category'] },
    bytes: DOCUMENT_BYTES,
    make: mail,
    beyond: [413, 'LIMIT_EXCEEDED'],
  },
  'an image': {
    capability: 'classify:image_category',
    as: 'image-classifier',
    option: '--file image_data',
    data: { classification_types: ['scenes'] },
    bytes: IMAGE_BYTES,
    make: png,
    beyond: [413, 'IMAGE_TOO_LARGE'],
  },
  'a zettel of one repository': {
    capability: 'store:zettel',
    as: 'zettel-repository',
    option: '--text-file content',
    data: {},
    bytes: ZETTEL_BYTES,
    // Four bytes a character: one million characters.
    make: (bytes) => Buffer.from('😀'.repeat(Math.floor(bytes / 4)) + 'x'.repeat(bytes % 4)),
    beyond: [400, 'INVALID_ZETTEL'],
  },
}

describe('the documented maximum', () => {
  for (const [name, { bytes, make, beyond, ...sent }] of Object.entries(maxima)) {
    test(`of ${name}: ${bytes} bytes get through to ${sent.capability}, one more is refused by it`, async () => {
      const whole = await make(bytes)
      expect(whole.length).toBe(bytes)
      const taken = await send(sent, whole)
      expect({ status: taken.status, error: taken.body.error }).toEqual({ status: 200, error: undefined })
      const refused = await send(sent, await make(bytes + 1))
      expect([refused.status, refused.body.error]).toEqual(beyond)
    })
  }

  test(`of a call to search:semantic_documents: ${SEARCH_CHARACTERS} characters in 100 documents`, async () => {
    const text = 'word '.repeat(SEARCH_CHARACTERS / 100 / 5)
    const documents = Array.from({ length: 100 }, (_, n) => ({ id: `d${n}`, text }))
    const request = { operation: 'index', documents }
    const file = join(folder, 'request.json')
    await writeFile(file, JSON.stringify(request))
    const env = { CONTROLLER_URL: mesh.origin, ...(await mesh.tlsEnv('worker/semantic-search')) }
    const { stdout, stderr } = await crank(
      ['invoke', 'search:semantic_documents', '--data', `@${file}`, '-o', 'json', '--timeout-ms', '120000'],
      { env },
    )
    expect(JSON.parse(stdout), stderr).toMatchObject({ status: 200 })
  })
})
