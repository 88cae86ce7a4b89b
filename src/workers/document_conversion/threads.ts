// A few threads for work on untrusted documents. A thread can be ended at any point: when the call is aborted, takes
// too long, or takes too much memory.
import { createThreadPool, ThreadFailure, type ReadCpuMs } from '../../worker/threads.ts'
import { ConversionFault, limitFault, type Convert, type ConvertResult, type ConvertTask } from './task.ts'
import type { ThreadReply } from './words.ts'

export type ConversionThreadsOptions = {
  readonly entry: URL
  readonly threads: number
  /** CPU time of one task. Beyond it the document is too big: LIMIT_EXCEEDED. */
  readonly cpuLimitMs: number
  /** Wall-clock time of one task once a thread has it. Beyond it: CONVERSION_TIMEOUT, which may be retried. */
  readonly wallLimitMs: number
  /** Limit for a thread's heap, and the same again for its buffers. */
  readonly memoryLimitMb: number
  /** Default: the CPU time that the operating system counts. */
  readonly readCpuMs?: ReadCpuMs
}
export type ConversionThreads = { readonly convert: Convert; readonly close: () => Promise<void> }

const MIB = 1024 * 1024

export function createConversionThreads(options: ConversionThreadsOptions): ConversionThreads {
  const { cpuLimitMs, wallLimitMs, memoryLimitMb, ...pooled } = options
  const limits = { cpuMs: cpuLimitMs, wallMs: wallLimitMs, externalBytes: memoryLimitMb * MIB }
  const pool = createThreadPool<ConvertTask, ThreadReply>({
    ...pooled,
    name: 'document-conversion',
    maxHeapMib: memoryLimitMb,
  })

  return {
    convert: async <T extends ConvertTask>(task: T, signal: AbortSignal) => {
      const reply = await pool
        .use(signal, (thread) => thread.ask(task, { signal, limits, transfer: [task.bytes.buffer] }))
        .catch((cause: unknown) => {
          throw cause instanceof ThreadFailure ? faultOf(cause) : cause
        })
      if (reply.kind === 'fault') throw new ConversionFault(reply.code, reply.message)
      // The kind of result matches the kind of task.
      return reply.result as ConvertResult<T>
    },
    close: () => pool.close(),
  }

  function faultOf({ reason, message, cause }: ThreadFailure): Error {
    switch (reason) {
      case 'memory_limit':
        return limitFault(`the conversion needs more than ${memoryLimitMb} MiB of memory`, { cause })
      case 'cpu_limit':
        return limitFault(`the conversion takes more than ${cpuLimitMs} ms of CPU time; split the document`)
      case 'wall_limit':
        return new ConversionFault(
          'CONVERSION_TIMEOUT',
          `the conversion did not end within ${wallLimitMs} ms, because this node is busy; try again`,
        )
      default:
        // Without its cause, which may quote the document.
        return new ThreadFailure(reason, message)
    }
  }
}
