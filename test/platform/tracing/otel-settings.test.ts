import { expect, test } from 'vitest'
import { otlpEndpoint, serviceName } from '../../../src/platform/tracing/otel-settings.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { createTracing, startSpan } from '../../../src/platform/tracing/tracing.ts'
import { SpanKind } from '@opentelemetry/api'
import { startOtlpReceiver } from '../../../scripts/lab/otlp-receiver.ts'

test('the endpoint for traces takes precedence over the general one, and a blank one is none', () => {
  const both = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a:4317', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b:4317' }
  expect(otlpEndpoint(both)).toBe('http://a:4317')
  expect(otlpEndpoint({ ...both, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ' ' })).toBe('http://b:4317')
  expect(otlpEndpoint({ ...both, OTEL_SDK_DISABLED: 'TRUE' })).toBeUndefined()
  expect(otlpEndpoint({ ...both, OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined()
  expect(otlpEndpoint({})).toBeUndefined()
})

const names: readonly [NodeJS.ProcessEnv, string][] = [
  [{}, 'crank-controller'],
  [{ OTEL_SERVICE_NAME: '', OTEL_RESOURCE_ATTRIBUTES: '' }, 'crank-controller'],
  [{ OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=by%20attribute' }, 'by attribute'],
  [{ OTEL_SERVICE_NAME: 'by-name', OTEL_RESOURCE_ATTRIBUTES: 'service.name=by-attribute' }, 'by-name'],
]
for (const [env, name] of names) {
  test(`spans and log lines have the one name ${name} with ${JSON.stringify(env)}`, async () => {
    expect(serviceName(env, 'crank-controller')).toBe(name)
    const receiver = await startOtlpReceiver()
    const log = createLogger({ level: 'silent', service: 'x' })
    const exporting = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
    const tracing = await createTracing({ service: 'crank-controller', version: '1', env: exporting, log })
    startSpan(tracing.tracer, 'a', SpanKind.SERVER, undefined).end()
    await tracing.shutdown()
    expect(receiver.spans()).toMatchObject([{ service: name }])
    await receiver.close()
  })
}
