// Performs one task in the thread that calls it. Each kind of conversion loads its libraries at its first use.
import { STYLE, type Block } from './blocks.ts'
import type { ConversionFault } from './task.ts'
import {
  limitFault,
  type ConvertResult,
  type ConvertTask,
  type EmailTask,
  type PdfResult,
  type PdfToTextTask,
  type ToPdfTask,
} from './task.ts'
import { decodeText } from './text-decode.ts'
import { createWarnings, type Warnings } from './warnings.ts'

/** @throws {ConversionFault} when the document is at fault; any other error is a fault of this worker */
export async function convert<T extends ConvertTask>(task: T): Promise<ConvertResult<T>> {
  try {
    // The compiler cannot derive the kind of result from the kind of task.
    return (await perform(task)) as ConvertResult<T>
  } catch (cause: unknown) {
    if (cause instanceof RangeError) throw overflow(cause)
    throw cause
  }
}

async function perform(task: ConvertTask): Promise<ConvertResult<ConvertTask>> {
  const warnings = createWarnings()
  switch (task.kind) {
    case 'to_pdf':
      return toPdf(task, warnings)
    case 'pdf_to_text':
      return readPdf(task, warnings)
    case 'email_to_text':
      return readEmail(task, warnings)
  }
}

async function toPdf(task: ToPdfTask, warnings: Warnings): Promise<PdfResult> {
  const { blocks, title } = await blocksOf(task, warnings)
  const { blocksToPdf } = await import('./pdf.ts')
  return blocksToPdf(blocks, { ...task.options, title: task.options.title ?? title }, warnings)
}

async function blocksOf(
  { format, bytes }: ToPdfTask,
  warnings: Warnings,
): Promise<{ blocks: readonly Block[]; title: string | undefined }> {
  if (format === 'text') {
    const text = decodeText(bytes, format)
    const block: Block = { kind: 'preformatted', text, style: STYLE.plain, indent: 0, quote: 0 }
    return { blocks: [block], title: undefined }
  }
  const { htmlToBlocks } = await import('./html-blocks.ts')
  return htmlToBlocks(await htmlOf({ format, bytes }, warnings), warnings)
}

async function htmlOf(
  { format, bytes }: { format: Exclude<ToPdfTask['format'], 'text'>; bytes: ToPdfTask['bytes'] },
  warnings: Warnings,
): Promise<string> {
  switch (format) {
    case 'html':
      return decodeText(bytes, format)
    case 'markdown': {
      const { marked } = await import('marked')
      return marked.parse(decodeText(bytes, format), { async: false })
    }
    case 'docx': {
      const { docxToHtml } = await import('./docx.ts')
      return docxToHtml(bytes, warnings)
    }
  }
}

async function readPdf(task: PdfToTextTask, warnings: Warnings) {
  const { pdfToText } = await import('./pdf-text.ts')
  return pdfToText(task, warnings)
}

async function readEmail(task: EmailTask, warnings: Warnings) {
  const { emailToText } = await import('./email.ts')
  return emailToText(task, warnings)
}

function overflow(cause: RangeError): ConversionFault {
  const isStack = cause.message.includes('call stack')
  return limitFault(`the document is ${isStack ? 'nested too deeply' : 'too large to be held in memory'}`, { cause })
}
