// The light spans of a call beside spans of the SDK: whatever is done to both, the collector gets the same bytes.
import { SpanKind, SpanStatusCode, trace, ROOT_CONTEXT } from '@opentelemetry/api'
import type { Span, SpanContext } from '@opentelemetry/api'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { ReadableSpan, Sampler, SpanLimits } from '@opentelemetry/sdk-trace'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createClockedTracer } from '../../../src/platform/tracing/clocked-tracer.ts'
import { createLightTracer } from '../../../src/platform/tracing/light-tracer.ts'
import { createSpanEncoder } from '../../../src/platform/tracing/otlp-encoder.ts'
import { sdkParts } from '../../../src/platform/tracing/sdk-parts.ts'
import { createTupleTracer } from '../../../src/platform/tracing/tuple-tracer.ts'

const REMOTE = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true }
const AT_MS = 1_764_500_000_123.456

/** Both kinds of tracers with the same settings; `ended`: the spans in the order in which they ended. */
function tracers({ sampler, spanLimits }: { sampler?: Sampler; spanLimits?: SpanLimits } = {}) {
  const ended: ReadableSpan[] = []
  const onEnd = (span: ReadableSpan): void => void ended.push(span)
  const provider = new TracerProvider({
    ...(sampler && { sampler }),
    ...(spanLimits && { spanLimits }),
    spanProcessors: [
      { onStart: () => undefined, onEnd, forceFlush: () => Promise.resolve(), shutdown: () => Promise.resolve() },
    ],
  })
  const sdk = provider.getTracer('crank', '1.2.3')
  const now = () => () => AT_MS
  const { sampler: used, ...parts } = sdkParts(sdk)
  const tracer = createClockedTracer(sdk, now)
  return { sdk: tracer, light: createTupleTracer({ tracer, sampler: used, now, home: { ...parts, onEnd } }), ended }
}

type Step = { readonly what: string; readonly run: (span: Span) => unknown }

const texts = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ minLength: 90, maxLength: 300 }))
const anyNames = fc.oneof(fc.constantFrom('a', 'b', 'crank.capability'), texts)
const numbers = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(-1, 2 ** 53, -(2 ** 53), 2 ** 63, -0, Number.NaN))
const simple = fc.oneof(texts, numbers, fc.boolean())
const values = fc.oneof(
  { weight: 4, arbitrary: simple },
  fc.array(fc.oneof(simple, fc.constant(undefined))),
  fc.uint8Array(),
  fc.constantFrom(undefined, null, 1n, () => 1, new Date(0)),
  fc.object({
    maxDepth: 3,
    key: texts.filter((name) => !/^\d+$|^__proto__$/.test(name)),
    values: [texts, numbers, fc.constant(undefined)],
  }),
)
// An object sorts names that are numbers, and a span does not; the order means nothing.
const names = anyNames.filter((name) => !/^\d+$|^__proto__$/.test(name))
const attributes = fc.dictionary(names, values, { maxKeys: 6, noNullPrototype: true })
const times = fc.constantFrom(AT_MS, AT_MS + 17.25, new Date(AT_MS + 3), [1_764_500_001, 500_000_000] as [
  number,
  number,
])
const link = fc.record({
  context: fc.constant<SpanContext>({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1, isRemote: true }),
  attributes,
})
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(names, values).map(([name, value]) => step('setAttribute', name, value)) },
  attributes.map((all) => step('setAttributes', all)),
  fc.tuple(names, attributes, times).map(([name, all, at]) => step('addEvent', name, all, at)),
  fc.tuple(names, times).map(([name, at]) => step('addEvent', name, at)),
  link.map((one) => step('addLink', one)),
  fc.array(link, { maxLength: 3 }).map((all) => step('addLinks', all)),
  texts.map((name) => step('updateName', name)),
  fc.record({ code: fc.constantFrom(0, 1, 2), message: texts }).map((status) => step('setStatus', status)),
  fc
    .constantFrom('text', '', new TypeError('wrong'), { code: 7, message: 'seven' }, { name: 'N', message: '' })
    .chain((exception) => times.map((at) => step('recordException', exception, at))),
)

function step(method: string, ...args: unknown[]): Step {
  const run = (span: Span): unknown =>
    (span as unknown as Record<string, (...all: unknown[]) => unknown>)[method]?.(...args)
  return { what: method, run }
}

/** The same id in both, since each tracer makes its own. */
function withIds(span: ReadableSpan, spanId: string): ReadableSpan {
  Object.assign(span.spanContext(), { spanId })
  return span
}

function bytesOf(spans: readonly ReadableSpan[]): Buffer {
  return Buffer.from(createSpanEncoder()(spans))
}

for (const [which, spanLimits] of [
  ['the default limits', undefined],
  ['tight limits', { attributeCountLimit: 3, attributeValueLengthLimit: 5, eventCountLimit: 2, linkCountLimit: 1 }],
  ['limits of events and links', { attributePerEventCountLimit: 1, attributePerLinkCountLimit: 2 }],
] as const) {
  test(`a light span is sent as one of the SDK, whatever was done to it, within ${which}`, () => {
    fc.assert(
      fc.property(attributes, fc.array(steps, { maxLength: 12 }), times, (given, done, endTime) => {
        const { sdk, light, ended } = tracers({ ...(spanLimits && { spanLimits }) })
        const parent = trace.setSpanContext(ROOT_CONTEXT, {
          traceId: REMOTE.traceId,
          spanId: REMOTE.spanId,
          traceFlags: 1,
          isRemote: true,
        })
        const theirs = sdk.startSpan('POST /route', { kind: SpanKind.SERVER, attributes: given }, parent)
        const ours = light.spanBelow(REMOTE, 'POST /route', SpanKind.SERVER, given)
        for (const span of [theirs, ours]) {
          for (const { run } of done) run(span)
          span.end(endTime)
        }
        const [expected, actual] = ended.map((span) => withIds(span, '3'.repeat(16)))
        const bytes = Buffer.from(ProtobufTraceSerializer.serializeRequest([expected!])!)
        // Through the members of a ReadableSpan, by OpenTelemetry's encoder; and by ours, from either.
        expect(Buffer.from(ProtobufTraceSerializer.serializeRequest([actual!])!)).toEqual(bytes)
        expect(bytesOf([expected!])).toEqual(bytes)
        expect(bytesOf([actual!])).toEqual(bytes)
      }),
      { numRuns: 300 },
    )
  })
}

test('a batch of spans of several scopes is the same request', () => {
  const { light, ended } = tracers()
  const other = tracers()
  const root = light.spanBelow(undefined, 'root', SpanKind.SERVER)
  light.spanBelow(root, 'child', SpanKind.CLIENT, { text: 'x'.repeat(40_000) }).end()
  other.sdk.startSpan('instrumented', { attributes: { 'http.route': '/x' } }).end()
  root.end()
  const batch = [...ended, ...other.ended, ...ended]
  expect(bytesOf(batch)).toEqual(Buffer.from(ProtobufTraceSerializer.serializeRequest(batch)!))
})

test('a span knows its parent, its trace state and the clock of the call', () => {
  const { light, sdk, ended } = tracers()
  const above = sdk.startSpan('instrumented', {}, trace.setSpanContext(ROOT_CONTEXT, stateful()))
  const child = light.spanBelow(above, 'child', SpanKind.INTERNAL)
  expect(child.spanContext()).toMatchObject({ traceId: REMOTE.traceId, traceFlags: 1 })
  expect(child.spanContext().traceState?.serialize()).toBe('vendor=1')
  child.end()
  expect(ended).toMatchObject([{ parentSpanContext: { spanId: above.spanContext().spanId } }])
  expect(ended[0]?.duration).toEqual([0, 0])
})

function stateful(): SpanContext {
  const traceState = { serialize: () => 'vendor=1', get: () => '1', set: () => traceState, unset: () => traceState }
  return { traceId: REMOTE.traceId, spanId: REMOTE.spanId, traceFlags: 1, isRemote: true, traceState }
}

const off = { ...REMOTE, sampled: false }
const LOW = { ...REMOTE, traceId: `${'0'.repeat(31)}1` }
const HIGH = { ...REMOTE, traceId: `${'0'.repeat(24)}${'f'.repeat(8)}` }
const samplers: readonly [Sampler, typeof REMOTE | undefined, boolean][] = [
  [new AlwaysOnSampler(), off, true],
  [new AlwaysOffSampler(), REMOTE, false],
  [new ParentBasedSampler({ root: new AlwaysOnSampler() }), undefined, true],
  [new ParentBasedSampler({ root: new AlwaysOnSampler() }), off, false],
  [new ParentBasedSampler({ root: new AlwaysOffSampler() }), undefined, false],
  [new ParentBasedSampler({ root: new AlwaysOffSampler() }), REMOTE, true],
  [new TraceIdRatioBasedSampler(0.5), LOW, true],
  [new TraceIdRatioBasedSampler(0.5), HIGH, false],
  [
    new ParentBasedSampler({ root: new AlwaysOnSampler(), localParentSampled: new AlwaysOffSampler() }),
    undefined,
    true,
  ],
]
test.each(samplers)('the sampler %s decides about %o: recorded %s', (sampler, parent, isRecorded) => {
  const { light, sdk, ended } = tracers({ sampler })
  const span = light.spanBelow(parent, 'POST /route', SpanKind.SERVER)
  const child = light.spanBelow(span, 'policy.evaluate', SpanKind.INTERNAL)
  const ids = parent && {
    traceId: parent.traceId,
    spanId: parent.spanId,
    traceFlags: Number(parent.sampled),
    isRemote: true,
  }
  const theirs = sdk.startSpan('POST /route', {}, ids ? trace.setSpanContext(ROOT_CONTEXT, ids) : ROOT_CONTEXT)
  const below = sdk.startSpan('policy.evaluate', {}, trace.setSpan(ROOT_CONTEXT, theirs))
  expect([span, child].map((one) => one.isRecording())).toEqual([theirs, below].map((one) => one.isRecording()))
  expect(span.isRecording()).toBe(isRecorded)
  expect(span.spanContext().traceFlags & 1).toBe(Number(isRecorded))
  child.setAttribute('a', 1).addEvent('b').end()
  span.end()
  expect(ended.length).toBe([span, child].filter((one) => (one.spanContext().traceFlags & 1) === 1).length)
  expect(new Set([span, child].map((one) => one.spanContext().spanId)).size).toBe(2)
})

test('what is said about a span after its end is ignored, and it ends once', () => {
  const { light, ended } = tracers()
  const span = light.spanBelow(undefined, 'a', SpanKind.INTERNAL)
  span.end(AT_MS - 5)
  span.setAttribute('late', 1).setAttributes({ late: 2 }).addEvent('late').addLinks([]).updateName('late')
  span.setStatus({ code: SpanStatusCode.ERROR }).end()
  expect(ended).toHaveLength(1)
  // It cannot end before it began.
  expect(ended[0]).toMatchObject({ name: 'a', attributes: {}, events: [], status: { code: 0 }, duration: [0, 0] })
  expect(span.isRecording()).toBe(false)
})

test('a value that the caller changes afterwards is as it was when it was set', () => {
  const { light, ended } = tracers()
  const span = light.spanBelow(undefined, 'a', SpanKind.INTERNAL)
  const list = ['one']
  span.setAttribute('list', list)
  list.push('two')
  span.end()
  expect(ended[0]?.attributes).toEqual({ list: ['one'] })
})

test('another SDK, which keeps its parts elsewhere, is an error that names them', () => {
  expect(() => sdkParts(createLightTracer())).toThrow(/has no sampler, limits, resource/)
})
