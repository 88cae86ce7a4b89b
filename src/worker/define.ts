// Defines a worker: its id, the capabilities it offers and those it calls. Checked here, once, with the schema of the
// wire.
import type { Readable } from 'node:stream'
import Type, { type Static, type TSchema } from 'typebox'
import { makeCapability, parseCapability, type Capability } from '../core/capability.ts'
import { CapabilitySchema, toJsonSchema, WORKER_ID, WorkerPlacing } from '../core/wire.ts'
import type { Handler, HandlerContext } from './handler.ts'
import type { CapabilityName } from './invoke.ts'
import type { StreamEvent } from './stream-event.ts'
import { createSchemaCheck, type SchemaCheck } from './schema-check.ts'

/**
 * One error code that a handler may throw. `status`: 4xx reaches the caller unchanged, 5xx becomes 502
 * `worker_failed`.
 */
export type ErrorDeclaration = { readonly description: string; readonly retryable: boolean; readonly status?: number }

/** The optional members of CapabilitySchema, named as on the wire. */
type Metadata = Omit<CapabilitySchema, 'input_schema' | 'output_schema' | 'error_codes' | 'streaming' | 'retry_safe'>
type Common<I extends TSchema, O extends TSchema, R extends CapabilityName> = Metadata & {
  /** The handler may run again under the same idempotency key: it does its work once, or doing it twice does no harm. */
  readonly retrySafe?: boolean
  /** The capabilities that the handler calls: its `invoke` takes these names and no others. */
  readonly requires?: readonly R[]
  readonly input: I
  readonly output: O
  readonly errors?: Readonly<Record<string, ErrorDeclaration>>
  /** The declared code for invalid input; default `INVALID_INPUT`, status 400. */
  readonly invalidInput?: string
}
/** Answers once: a JSON value of `output`, or bytes of any content type with `output: ByteOutput`. */
export type SingleOptions<I extends TSchema, O extends TSchema, R extends CapabilityName = never> = Common<I, O, R> & {
  readonly streaming?: false
  readonly handler: (context: HandlerContext<Static<I>, NoInfer<R>>) => Static<O> | Promise<Static<O>>
}
/** Answers with server-sent events; `output` is the schema of one event's data. */
export type StreamingOptions<I extends TSchema, O extends TSchema, R extends CapabilityName = never> = Common<
  I,
  O,
  R
> & {
  readonly streaming: true
  readonly handler: (context: HandlerContext<Static<I>, NoInfer<R>>) => AsyncIterable<StreamEvent<Static<O>>>
}

export type CapabilityDefinition = {
  readonly capability: Capability
  readonly schema: CapabilitySchema
  /** What its handler calls. */
  readonly requires: readonly Capability[]
  readonly input: TSchema
  readonly output: TSchema
  readonly errors: ReadonlyMap<string, ErrorDeclaration>
  readonly invalidInput: string
  readonly handler: Handler
}

export type WorkerDefinition = {
  readonly id: string
  readonly capabilities: readonly CapabilityDefinition[]
  /** What its manifest must allow it to call: the requirements of its capabilities and its own, and what it offers; sorted. */
  readonly requires: readonly Capability[]
  /** What callers may ask for, such as `{ zone: 'eu' }`. */
  readonly labels?: Readonly<Record<string, string>>
  /** Its part of the calls in relation to other workers: 1 (default) to 100. */
  readonly weight?: number
  /** Releases the worker's resources (a database, a thread) when its last call has ended. */
  readonly close?: () => void | Promise<void>
}

/** As `input`: the handler receives the request body as a stream, of any content type, unchecked. */
export const ByteInput = Type.Unsafe<ByteBody>({ type: 'string', contentEncoding: 'binary' })
/** As `output`: the handler answers with bytes. */
export const ByteOutput = Type.Unsafe<ByteAnswer>({ type: 'string', contentEncoding: 'binary' })
export type ByteBody = { readonly contentType: string | undefined; readonly stream: Readable }
/** `status` 2xx, default 200. */
export type ByteAnswer = { readonly contentType: string; readonly body: Buffer | Readable; readonly status?: number }

/** An invalid definition; `message` names the capability and the fault. */
export class DefinitionError extends Error {
  override readonly name = 'DefinitionError'
}

/** Names the function of `globalThis` that is called with each definition. */
export const WORKER_DEFINED = Symbol.for('crank.worker_defined')

const INVALID_INPUT: ErrorDeclaration = {
  description: 'the input does not fit input_schema',
  retryable: false,
  status: 400,
}

/** Defines one capability. @throws {DefinitionError} for an invalid name, version, schema, error code or metadata. */
export function defineCapability<I extends TSchema, O extends TSchema, R extends CapabilityName = never>(
  options: SingleOptions<I, O, R> | StreamingOptions<I, O, R>,
): CapabilityDefinition {
  const { requires = [], input, output, errors = {}, invalidInput = 'INVALID_INPUT', handler, ...rest } = options
  const { retrySafe, ...metadata } = rest
  return attempt(`${options.verb}:${options.name}`, () => {
    const declared = new Map(Object.entries(errors))
    if (invalidInput === 'INVALID_INPUT' && !declared.has(invalidInput)) declared.set(invalidInput, INVALID_INPUT)
    if (!declared.has(invalidInput))
      throw new DefinitionError(`invalidInput "${invalidInput}" is not declared in errors`)
    const error_codes = [...declared].map(([code, { description, retryable }]) => ({ code, description, retryable }))
    const schemas = { input_schema: toJsonSchema(input), output_schema: toJsonSchema(output) }
    const safe = retrySafe === undefined ? {} : { retry_safe: retrySafe }
    const schema: CapabilitySchema = { ...metadata, ...schemas, error_codes, ...safe }
    checkSchema(schema)
    for (const [code, { status = 400 }] of declared) checkStatus(code, status)
    const capability = makeCapability(options.verb, options.name)
    // The handler's own types are erased here; the checks in execute.ts ensure them at run time.
    return {
      capability,
      schema,
      requires: parseRequires(requires),
      input,
      output,
      errors: declared,
      invalidInput,
      handler: handler as Handler,
    }
  })
}

/**
 * Combines capabilities. `requires`: capabilities that are called under the identity of this worker other than by the
 * `invoke` of a handler; each capability declares the others.
 * @throws {DefinitionError} for an invalid id, missing or duplicate capabilities, invalid `requires`, `labels` or `weight`
 */
export function defineWorker(options: {
  readonly id: string
  readonly capabilities: readonly CapabilityDefinition[]
  readonly requires?: readonly CapabilityName[]
  readonly labels?: Readonly<Record<string, string>>
  readonly weight?: number
  readonly close?: () => void | Promise<void>
}): WorkerDefinition {
  const { id, capabilities, requires = [], close } = options
  return attempt(`worker "${id}"`, () => {
    if (!new RegExp(WORKER_ID).test(id) || id.includes('.'))
      throw new DefinitionError('the id must match [A-Za-z0-9_-]{1,64}')
    if (capabilities.length === 0) throw new DefinitionError('a worker must offer at least one capability')
    const seen = new Set<Capability>()
    for (const { capability } of capabilities) {
      if (seen.has(capability)) throw new DefinitionError(`duplicate capability ${capability}`)
      seen.add(capability)
    }
    const placing = placingOf(options)
    const needed = capabilities.flatMap((entry) => [entry.capability, ...entry.requires])
    const all = [...new Set([...needed, ...parseRequires(requires)])].sort()
    const definition = { id, capabilities: [...capabilities], requires: all, ...placing }
    return announced(close === undefined ? definition : { ...definition, close })
  })
}

type Placing = Pick<WorkerDefinition, 'labels' | 'weight'>
let placingCheck: SchemaCheck | undefined

function placingOf({ labels, weight }: Placing): Placing {
  const placing = { ...(labels !== undefined && { labels: { ...labels } }), ...(weight !== undefined && { weight }) }
  placingCheck ??= createSchemaCheck(WorkerPlacing, 'worker')
  const fault = placingCheck(placing)
  if (fault !== undefined) throw new DefinitionError(fault)
  return placing
}

function parseRequires(names: readonly string[]): Capability[] {
  return names.map((name) => {
    try {
      return parseCapability(name)
    } catch (cause: unknown) {
      throw new DefinitionError(`requires: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  })
}

const made = new WeakSet<object>()
// `crank manifest` imports definitions and listens here, to see those that a file makes and does not export. By a symbol
// of the process: the file may import another copy of this module.
function announced(definition: WorkerDefinition): WorkerDefinition {
  made.add(definition)
  const listener: unknown = Reflect.get(globalThis, WORKER_DEFINED)
  if (typeof listener === 'function') Reflect.apply(listener, undefined, [definition])
  return definition
}

/** Whether `defineWorker` of this copy of the runtime made the value: only this copy can run it. */
export function isWorkerDefinition(value: unknown): value is WorkerDefinition {
  return typeof value === 'object' && value !== null && made.has(value)
}

let schemaCheck: SchemaCheck | undefined
function checkSchema(schema: CapabilitySchema): void {
  schemaCheck ??= createSchemaCheck(CapabilitySchema, 'capability')
  const fault = schemaCheck(schema)
  if (fault !== undefined) throw new DefinitionError(fault)
}

function checkStatus(code: string, status: number): void {
  if (status < 400 || status > 599) throw new DefinitionError(`errors.${code}.status must be from 400 to 599`)
}

function attempt<T>(what: string, make: () => T): T {
  try {
    return make()
  } catch (cause: unknown) {
    throw new DefinitionError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
