// What the worker and its index thread tell each other.
import type { FaultCode } from './fault.ts'
import type { Request, Result } from './schemas.ts'

export type ToThread =
  | { readonly kind: 'run'; readonly id: number; readonly caller: string; readonly request: Request }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'close' }
/** `failed`: an error nobody expected; `cancelled`: nothing was changed. */
export type FromThread =
  | { readonly kind: 'done'; readonly id: number; readonly result: Result }
  | {
      readonly kind: 'fault'
      readonly id: number
      readonly code: FaultCode
      readonly message: string
      readonly cause: string
    }
  | { readonly kind: 'cancelled'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }
