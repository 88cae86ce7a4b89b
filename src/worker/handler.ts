// What a handler gets and gives.
import type { Span } from '@opentelemetry/api'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { Logger } from '../platform/logger.ts'
import type { AnyInvoke, CapabilityName, Invoke } from './invoke.ts'

/** `name`: a constant such as `pdf.render`. What `run` throws is marked on the span and thrown on. */
export type InSpan = <T>(name: string, run: () => T | Promise<T>) => Promise<T>

/** `R`: the names in the capability's `requires`. */
export type HandlerContext<I, R extends CapabilityName = never> = {
  /** Checked against the capability's input schema. */
  readonly input: I
  /** Who called, as the controller verified it. */
  readonly caller: SpiffeId
  /** Aborts at the deadline, when the caller leaves and when the worker stops: pass it on to everything that waits. */
  readonly signal: AbortSignal
  /** Calls a capability of `requires` through the controller, in the same trace and not beyond the same signal. */
  readonly invoke: Invoke<R>
  readonly log: Logger
  readonly span: Span
  /** Runs a slow part of the call in a span of its own, below the call's. */
  readonly inSpan: InSpan
  /** The controller's decision that let this call through; the key of its audit record. */
  readonly decisionId: string
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
}

/** A handler with its types erased. */
export type Handler = (context: Omit<HandlerContext<unknown>, 'invoke'> & { readonly invoke: AnyInvoke }) => unknown
