// Messages between the worker and its index thread.
import type { FaultCode } from './fault.ts'
import type { Request, Result } from './schemas.ts'

export type ThreadRequest = { readonly caller: string; readonly request: Request }
export type ThreadReply =
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'fault'; readonly code: FaultCode; readonly message: string; readonly cause: string }
