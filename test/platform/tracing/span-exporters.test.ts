// The exporters of OpenTelemetry send what our encoder makes; an update that moves their serializer would only make them slower,
// so it is this test that notices it.
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { afterEach, expect, test } from 'vitest'
import { spanExporters } from '../../../src/platform/tracing/span-exporters.ts'

const frees: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const free of frees.splice(0)) await free()
})

type Inside = { readonly _delegate: { readonly _serializer: typeof ProtobufTraceSerializer } }

test.each([
  ['grpc', true],
  ['http/protobuf', true],
  ['http/json', false],
])('over %s spans are encoded by us: %s', (protocol, isOurs) => {
  const open = spanExporters({ OTEL_EXPORTER_OTLP_PROTOCOL: protocol }, { agent: 'test/1', concurrencyLimit: 1 })
  const exporter = open()
  frees.push(() => exporter.shutdown())
  const { _serializer: serializer } = (exporter as unknown as Inside)._delegate
  expect(serializer).not.toBe(ProtobufTraceSerializer)
  const request = Buffer.from(serializer.serializeRequest([]) ?? [])
  expect(request.toString()).toBe(isOurs ? '' : '{"resourceSpans":[]}')
  // What the collector answers is still read by the exporter.
  expect(serializer.deserializeResponse(new Uint8Array())).toEqual({})
})
