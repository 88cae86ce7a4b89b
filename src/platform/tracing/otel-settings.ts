// The OTEL_* variables that matter outside the SDK, read without loading it: a process that exports no spans, such as a
// command, starts without the SDK, and its log lines have the same service name as its spans would.

/** The collector's URL. Undefined: none is set, or OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none switches the export off. */
export function otlpEndpoint(env: NodeJS.ProcessEnv): string | undefined {
  const value = (name: string): string => env[name]?.trim() ?? ''
  if (value('OTEL_SDK_DISABLED').toLowerCase() === 'true' || value('OTEL_TRACES_EXPORTER') === 'none') return undefined
  return [value('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'), value('OTEL_EXPORTER_OTLP_ENDPOINT')].find((url) => url !== '')
}

/** The service's name in spans and log lines: OTEL_SERVICE_NAME, else OTEL_RESOURCE_ATTRIBUTES, else `own`. */
export function serviceName(env: NodeJS.ProcessEnv, own: string): string {
  const attributes = (env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').map((pair) => pair.split('='))
  const named = attributes.findLast(([name]) => name?.trim() === 'service.name')?.[1]?.trim()
  return [env['OTEL_SERVICE_NAME']?.trim(), named && decoded(named)].find((name) => name) ?? own
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
