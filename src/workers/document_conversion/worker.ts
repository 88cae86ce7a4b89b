// Converts documents: text, Markdown, HTML and DOCX to PDF, PDF to text, mails to text. Nothing that they refer to is
// loaded.
import { capabilityError } from '../../worker/call-error.ts'
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import type { HandlerContext } from '../../worker/handler.ts'
import { startStopwatch } from '../../worker/stopwatch.ts'
import { threadEntry } from '../../worker/threads.ts'
import { emailAnswer, pdfAnswer, textAnswer } from './answers.ts'
import { documentTask, htmlTask, mailTask, pdfTask } from './inputs.ts'
import { CPU_LIMIT_MS, MAX_CONCURRENCY, MEMORY_LIMIT_MB, THREADS, WALL_LIMIT_MS } from './limits.ts'
import { DocumentInput, EmailInput, EmailOutput, HtmlInput, PdfInput, PdfOutput, TextOutput } from './schemas.ts'
import { documentErrors, emailErrors } from './schemas.ts'
import { ConversionFault, type ConvertResult, type ConvertTask } from './task.ts'
import { createConversionThreads, type ConversionThreads } from './threads.ts'

const THREAD = threadEntry('thread-main', import.meta.url)
const LIMITS = {
  threads: THREADS,
  cpuLimitMs: CPU_LIMIT_MS,
  wallLimitMs: WALL_LIMIT_MS,
  memoryLimitMb: MEMORY_LIMIT_MB,
}
/** Settings that the capabilities share. */
const SHARED = {
  version: '1.0.0',
  max_concurrency: MAX_CONCURRENCY,
  requires_gpu: false,
  slo: { p95_ms: 2000 },
  estimated_duration_ms: 100,
}

type Parts = {
  /** Performs the conversions. Default: threads of this worker, started at the first call. */
  readonly threads?: ConversionThreads
  /** Milliseconds, for conversion_time_ms. */
  readonly monotonic?: () => number
}
/** `span`: name of the span for the conversion. `failed`: the code for a failure that the input did not cause. */
type Way<I, T extends ConvertTask, O> = {
  readonly span: string
  readonly failed: string
  readonly taskOf: (input: I) => T
  readonly answerOf: (result: ConvertResult<T>, tookMs: number) => O
}

export function createDocumentConversion({
  threads = createConversionThreads({ entry: THREAD, ...LIMITS }),
  monotonic = () => performance.now(),
}: Parts = {}): WorkerDefinition {
  // pdfkit is loaded at the first call. The worker must not start at all if the package is missing.
  import.meta.resolve('pdfkit')
  const by = createBy({ threads, monotonic })

  const documentToPdf = defineCapability({
    verb: 'convert',
    name: 'document_to_pdf',
    ...SHARED,
    description: 'Makes a PDF of text, Markdown, HTML or DOCX; scripts and external references are left out.',
    input: DocumentInput,
    output: PdfOutput,
    errors: documentErrors,
    tags: ['document', 'conversion', 'pdf'],
    handler: by({ span: 'pdf.render', failed: 'CONVERSION_FAILED', taskOf: documentTask, answerOf: pdfAnswer }),
  })

  const htmlToPdf = defineCapability({
    verb: 'convert',
    name: 'html_to_pdf',
    ...SHARED,
    description: 'Makes a PDF of HTML; scripts and external references are left out, nothing is fetched.',
    input: HtmlInput,
    output: PdfOutput,
    errors: documentErrors,
    tags: ['document', 'conversion', 'html', 'pdf'],
    handler: by({ span: 'pdf.render', failed: 'CONVERSION_FAILED', taskOf: htmlTask, answerOf: pdfAnswer }),
  })

  const pdfToText = defineCapability({
    verb: 'convert',
    name: 'pdf_to_text',
    ...SHARED,
    description: 'Reads the text of a PDF, page by page; scanned pages have none.',
    input: PdfInput,
    output: TextOutput,
    errors: documentErrors,
    tags: ['document', 'conversion', 'pdf', 'text'],
    handler: by({ span: 'pdf.read', failed: 'CONVERSION_FAILED', taskOf: pdfTask, answerOf: textAnswer }),
  })

  const emailToText = defineCapability({
    verb: 'convert',
    name: 'email_to_text',
    ...SHARED,
    description: 'Reads a mail: decoded headers, its body as text, and its attachments.',
    input: EmailInput,
    output: EmailOutput,
    errors: emailErrors,
    tags: ['email', 'conversion', 'text'],
    estimated_duration_ms: 20,
    handler: by({ span: 'email.parse', failed: 'PARSING_FAILED', taskOf: mailTask, answerOf: emailAnswer }),
  })

  return defineWorker({
    id: 'worker-document-conversion',
    capabilities: [documentToPdf, htmlToPdf, pdfToText, emailToText],
    close: () => threads.close(),
  })
}

/** Creates handlers that pass the work to the threads. */
function createBy({ threads, monotonic }: Required<Parts>) {
  return <I, T extends ConvertTask, O>({ span, failed, taskOf, answerOf }: Way<I, T, O>) =>
    async ({ input, signal, inSpan, log }: HandlerContext<I>): Promise<O> => {
      const elapsedMs = startStopwatch(monotonic)
      try {
        const task = taskOf(input)
        const result = await inSpan(span, () => threads.convert(task, signal))
        return answerOf(result, elapsedMs())
      } catch (error: unknown) {
        if (signal.aborted) throw error
        if (error instanceof ConversionFault) throw capabilityError(error.code, error.message, { cause: error })
        log.error({ event: 'conversion_failed', err: error }, 'conversion failed')
        throw capabilityError(failed, 'the conversion failed')
      }
    }
}
