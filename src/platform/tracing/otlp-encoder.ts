// Encodes spans for OTLP: opentelemetry/proto/collector/trace/v1/trace_service.proto. One pass, where the exporters of
// OpenTelemetry take two; the bytes are the same, which a test compares.
import type { Attributes, HrTime, Link, SpanContext, SpanStatus } from '@opentelemetry/api'
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace'
import { ProtoWriter } from './proto-writer.ts'
import { hrTime } from './span-events.ts'
import { TupleSpan } from './tuple-span.ts'

/** The kind of a field's value. */
const VARINT = 0
const FIXED_64 = 1
const BYTES = 2
const FIXED_32 = 5

const tag = (field: number, kind: number): number => (field << 3) | kind

/** The parent is known to be, or not to be, of another process. */
const HAS_IS_REMOTE = 0x100
const IS_REMOTE = 0x200
/** OTLP has integers of 64 bits. */
const MAX_INT = 2 ** 63

/** Returns a function that makes an ExportTraceServiceRequest of spans. */
export function createSpanEncoder(): (spans: readonly ReadableSpan[]) => Uint8Array {
  const writer = new ProtoWriter()
  return (spans) => encode(writer, spans)
}

function encode(writer: ProtoWriter, spans: readonly ReadableSpan[]): Uint8Array {
  for (const [resource, scopes] of grouped(spans)) {
    const resourceSpans = writer.begin(tag(1, BYTES))
    writeResource(writer, resource)
    for (const [scope, ofScope] of scopes) {
      const scopeSpans = writer.begin(tag(2, BYTES))
      writeScope(writer, scope)
      for (const span of ofScope) writeSpan(writer, span)
      if (scope.schemaUrl) writer.text(tag(3, BYTES), scope.schemaUrl)
      writer.end(scopeSpans)
    }
    if (resource.schemaUrl) writer.text(tag(3, BYTES), resource.schemaUrl)
    writer.end(resourceSpans)
  }
  return writer.take()
}

type Resource = ReadableSpan['resource']
type Scope = ReadableSpan['instrumentationScope']

function grouped(spans: readonly ReadableSpan[]): Map<Resource, Map<Scope, ReadableSpan[]>> {
  const resources = new Map<Resource, Map<Scope, ReadableSpan[]>>()
  for (const span of spans) {
    const { resource, instrumentationScope } = span
    const scopes = resources.get(resource) ?? new Map<Scope, ReadableSpan[]>()
    const list = scopes.get(instrumentationScope) ?? []
    if (list.push(span) === 1) resources.set(resource, scopes.set(instrumentationScope, list))
  }
  return resources
}

function writeResource(writer: ProtoWriter, { attributes }: Resource): void {
  const start = writer.begin(tag(1, BYTES))
  writeAttributes(writer, 1, attributes)
  writeCount(writer, 2, 0)
  writer.end(start)
}

function writeScope(writer: ProtoWriter, { name, version }: Scope): void {
  const start = writer.begin(tag(1, BYTES))
  writer.text(tag(1, BYTES), name)
  if (version) writer.text(tag(2, BYTES), version)
  writer.end(start)
}

function writeSpan(writer: ProtoWriter, span: ReadableSpan): void {
  const start = writer.begin(tag(2, BYTES))
  const ids = span.spanContext()
  const { parentSpanContext: parent } = span
  writeIds(writer, ids)
  if (parent?.spanId) writer.hex(tag(4, BYTES), parent.spanId)
  writer.text(tag(5, BYTES), span.name)
  writeCount(writer, 6, span.kind + 1)
  if (span instanceof TupleSpan) {
    writeTime(writer, 7, hrTime(span.startMs))
    writeTime(writer, 8, hrTime(span.endMs))
    const { pairs } = span
    for (let at = 0; at < pairs.length; at += 2) writeAttribute(writer, 9, pairs[at] as string, pairs[at + 1])
  } else {
    writeTime(writer, 7, span.startTime)
    writeTime(writer, 8, span.endTime)
    writeAttributes(writer, 9, span.attributes)
  }
  writeCount(writer, 10, span.droppedAttributesCount)
  for (const event of span.events) writeEvent(writer, event)
  writeCount(writer, 12, span.droppedEventsCount)
  for (const link of span.links) writeLink(writer, link)
  writeCount(writer, 14, span.droppedLinksCount)
  writeStatus(writer, span.status)
  writer.fixed32(tag(16, FIXED_32), flagsOf(ids.traceFlags, parent?.isRemote))
  writer.end(start)
}

/** Trace id, span id and state: the fields 1 to 3 of a span and of a link. */
function writeIds(writer: ProtoWriter, { traceId, spanId, traceState }: SpanContext): void {
  writer.hex(tag(1, BYTES), traceId)
  writer.hex(tag(2, BYTES), spanId)
  const state = traceState?.serialize()
  if (state) writer.text(tag(3, BYTES), state)
}

function writeEvent(writer: ProtoWriter, { name, time, attributes, droppedAttributesCount = 0 }: TimedEvent): void {
  const start = writer.begin(tag(11, BYTES))
  writeTime(writer, 1, time)
  writer.text(tag(2, BYTES), name)
  if (attributes !== undefined) writeAttributes(writer, 3, attributes)
  writeCount(writer, 4, droppedAttributesCount)
  writer.end(start)
}

function writeLink(writer: ProtoWriter, { context, attributes, droppedAttributesCount = 0 }: Link): void {
  const start = writer.begin(tag(13, BYTES))
  writeIds(writer, context)
  if (attributes !== undefined) writeAttributes(writer, 4, attributes)
  writeCount(writer, 5, droppedAttributesCount)
  writer.fixed32(tag(6, FIXED_32), flagsOf(context.traceFlags, context.isRemote))
  writer.end(start)
}

function writeStatus(writer: ProtoWriter, { code, message }: SpanStatus): void {
  const start = writer.begin(tag(15, BYTES))
  if (message) writer.text(tag(2, BYTES), message)
  writeCount(writer, 3, code)
  writer.end(start)
}

function flagsOf(traceFlags: number, isRemote: boolean | undefined): number {
  return (traceFlags & 0xff) | HAS_IS_REMOTE | (isRemote === true ? IS_REMOTE : 0)
}

function writeTime(writer: ProtoWriter, field: number, [seconds, nanos]: HrTime): void {
  writer.nanoseconds(tag(field, FIXED_64), seconds, nanos)
}

function writeCount(writer: ProtoWriter, field: number, count: number): void {
  writer.varint(tag(field, VARINT))
  writer.varint(count)
}

function writeAttributes(writer: ProtoWriter, field: number, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) writeAttribute(writer, field, name, value)
}

/** A KeyValue. */
function writeAttribute(writer: ProtoWriter, field: number, name: string, value: unknown): void {
  const start = writer.begin(tag(field, BYTES))
  writer.text(tag(1, BYTES), name)
  writeAny(writer, 2, value)
  writer.end(start)
}

/** An AnyValue; null and undefined are empty ones. */
function writeAny(writer: ProtoWriter, field: number, value: unknown): void {
  const start = writer.begin(tag(field, BYTES))
  if (typeof value === 'string') writer.text(tag(1, BYTES), value)
  else if (typeof value === 'boolean') writeCount(writer, 2, value ? 1 : 0)
  else if (typeof value === 'number') writeNumber(writer, value)
  else if (value instanceof Uint8Array) writer.raw(tag(7, BYTES), value)
  else if (Array.isArray(value)) writeArray(writer, value)
  else if (typeof value === 'object' && value !== null) writeMap(writer, value)
  writer.end(start)
}

function writeNumber(writer: ProtoWriter, value: number): void {
  if (Number.isInteger(value) && value >= -MAX_INT && value < MAX_INT) writeCount(writer, 3, value)
  else writer.double(tag(4, FIXED_64), value)
}

function writeArray(writer: ProtoWriter, items: readonly unknown[]): void {
  const start = writer.begin(tag(5, BYTES))
  for (const item of items) writeAny(writer, 1, item)
  writer.end(start)
}

function writeMap(writer: ProtoWriter, members: object): void {
  const start = writer.begin(tag(6, BYTES))
  writeAttributes(writer, 1, members as Attributes)
  writer.end(start)
}
