// A process that has one document converted, and then nothing more to do.
import { createConversionThreads } from '../../../../src/workers/document_conversion/threads.ts'

const pool = createConversionThreads({
  entry: new URL('../../../../src/workers/document_conversion/thread-main.ts', import.meta.url),
  threads: 1,
  cpuLimitMs: 60_000,
  wallLimitMs: 600_000,
  memoryLimitMb: 64,
})
const { pageCount } = await pool.convert(
  {
    kind: 'to_pdf',
    format: 'html',
    bytes: new Uint8Array(Buffer.from('<p>a')),
    options: { pageSize: 'a4', title: undefined, createdMs: undefined },
  },
  new AbortController().signal,
)
process.stdout.write(String(pageCount))
