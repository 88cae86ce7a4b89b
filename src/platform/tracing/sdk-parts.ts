// What the SDK has read from the OTEL_* variables and gives to its own spans, for ours: sampler, limits, resource. It has no
// public way to ask for them, so the version of @opentelemetry/sdk-trace is pinned, and what is not there ends the start.
import type { Tracer } from '@opentelemetry/api'
import type { Sampler } from '@opentelemetry/sdk-trace'
import type { SpanHome } from './tuple-span.ts'

type SdkParts = Omit<SpanHome, 'onEnd' | 'bounds'> & { readonly sampler: Sampler }

/** `tracer`: of the SDK. @throws {Error} when it is another than the one that this was written for */
export function sdkParts(tracer: Tracer): SdkParts {
  const { _sampler, _spanLimits, _resource, instrumentationScope } = tracer as Tracer & Record<string, unknown>
  const parts = { sampler: _sampler, limits: _spanLimits, resource: _resource, instrumentationScope }
  const missing = Object.entries(parts).flatMap(([name, part]) =>
    typeof part === 'object' && part !== null ? [] : name,
  )
  if (missing.length > 0) throw new Error(`this version of the OpenTelemetry SDK has no ${missing.join(', ')}: ${FIX}`)
  return parts as unknown as SdkParts
}

const FIX = 'install the version of @opentelemetry/sdk-trace that package.json names'
