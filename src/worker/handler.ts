// The input and output of a handler.
import type { Span } from '@opentelemetry/api'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { Logger } from '../platform/logger.ts'
import type { AnyInvoke, CapabilityName, Invoke } from './invoke.ts'

/** `name`: a constant such as `pdf.render`. An error of `run` is recorded on the span and rethrown. */
export type InSpan = <T>(name: string, run: () => T | Promise<T>) => Promise<T>

/** `R`: the names in the capability's `requires`. */
export type HandlerContext<I, R extends CapabilityName = never> = {
  /** Valid against the capability's input schema. */
  readonly input: I
  /** The caller's SPIFFE ID, verified by the controller. */
  readonly caller: SpiffeId
  /** Aborts at the deadline, when the caller leaves and when the worker stops: pass it to everything that waits. */
  readonly signal: AbortSignal
  /** Calls a capability of `requires` through the controller, in the same trace and with the same signal. */
  readonly invoke: Invoke<R>
  readonly log: Logger
  readonly span: Span
  /** Runs a slow part of the call in a child span of the call. */
  readonly inSpan: InSpan
  /** Id of the controller's decision that allowed this call; the key of its audit record. */
  readonly decisionId: string
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
}

/** A handler with its types erased. */
export type Handler = (context: Omit<HandlerContext<unknown>, 'invoke'> & { readonly invoke: AnyInvoke }) => unknown
