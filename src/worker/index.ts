// The entry point of the package @crank/worker: everything needed to write a worker outside of this repository.
export { Type, type Static, type TSchema } from 'typebox'
export type { SpiffeId } from '../core/spiffe-id.ts'
export { ConfigError } from '../platform/setting-fault.ts'
export type { Logger } from '../platform/logger.ts'
export { capabilityError, HandlerError } from './call-error.ts'
export {
  ByteInput,
  ByteOutput,
  defineCapability,
  defineWorker,
  DefinitionError,
  isWorkerDefinition,
  type ByteAnswer,
  type ByteBody,
  type CapabilityDefinition,
  type ErrorDeclaration,
  type SingleOptions,
  type StreamingOptions,
  type WorkerDefinition,
} from './define.ts'
export type { HandlerContext, InSpan } from './handler.ts'
export { InvokeError, type CapabilityName, type Invoke, type InvokeOptions } from './invoke.ts'
export { startWorkerProcess, type MakeWorker, type WorkerPlace } from './main.ts'
export { runWorkerProcess } from './run-process.ts'
export type { RunningWorker } from './run.ts'
export { formatEvent, parseEvents, type RawEvent } from './sse.ts'
export type { StreamEvent } from './stream-event.ts'
