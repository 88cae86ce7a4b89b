// Messages between the worker and its threads.
import type { ConvertResult, ConvertTask, FaultCode } from './task.ts'

export type ThreadReply =
  | { readonly kind: 'done'; readonly result: ConvertResult<ConvertTask> }
  | { readonly kind: 'fault'; readonly code: FaultCode; readonly message: string }
