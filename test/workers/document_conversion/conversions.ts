// Calls of the worker in this process: the same code as in its threads, without starting one for each test.
import { convert } from '../../../src/workers/document_conversion/convert.ts'
import type { ConversionThreads } from '../../../src/workers/document_conversion/threads.ts'
import { createDocumentConversion } from '../../../src/workers/document_conversion/worker.ts'
import { call, createTestWorker, type TestWorker } from '../../../scripts/lab/worker-calls.ts'

/** The work is done in the calling thread. */
export const here: ConversionThreads = { convert: (task) => convert(task), close: () => Promise.resolve() }

export type Warning = { code: string; message: string; count: number; places?: string[] }
export type PdfAnswer = { converted_data: string; page_count: number; warnings: Warning[] }
export type TextAnswer = { pages: { page: number; text: string }[]; page_count: number; warnings: Warning[] }
export type Failure = { error: string; message: string; retryable: boolean }

let worker: Promise<TestWorker> | undefined

export async function ask(capability: string, input: unknown) {
  worker ??= createTestWorker(createDocumentConversion({ threads: here }))
  return call(await worker, `convert:${capability}`, input)
}

export function base64(document: string | Uint8Array): string {
  return Buffer.from(document).toString('base64')
}

/** @throws when the answer is not 200 */
export async function toPdf(document: string | Uint8Array, source_format: string, more: object = {}) {
  const answer = await ask('document_to_pdf', { document_data: base64(document), source_format, ...more })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.json() as PdfAnswer
}

/** The text of a PDF, spaces and line breaks of any length as one space. */
export async function textOf({ converted_data }: Pick<PdfAnswer, 'converted_data'>): Promise<string> {
  const answer = await ask('pdf_to_text', { document_data: converted_data })
  if (answer.status !== 200) throw new Error(answer.text)
  const { pages } = answer.json() as TextAnswer
  return pages
    .map(({ text }) => text)
    .join(' ')
    .replaceAll(/\s+/g, ' ')
}

/** What a reader of the PDF sees of a document. */
export async function shown(document: string | Uint8Array, source_format: string): Promise<string> {
  return textOf(await toPdf(document, source_format))
}

export async function refusal(capability: string, input: unknown) {
  const answer = await ask(capability, input)
  return { status: answer.status, ...(answer.json() as Failure) }
}
