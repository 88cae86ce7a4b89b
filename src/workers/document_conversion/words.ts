// What goes between the worker and its threads.
import type { ConvertResult, ConvertTask, FaultCode } from './task.ts'

/** From a thread: it is ready for work; then one answer for each task. */
export type ThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly result: ConvertResult<ConvertTask> }
  | { readonly kind: 'fault'; readonly code: FaultCode; readonly message: string }
  /** `place`: the kind of error and where it came from. Its message may quote the document. */
  | { readonly kind: 'failed'; readonly place: string }
