// Spans over TLS: the certificates that OTEL_* names are used, and a collector that does not fit them gets nothing.
import { SpanKind } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createLogger } from '../../../src/platform/logger.ts'
import type { CredentialFiles } from '../../../src/platform/tls/credentials.ts'
import { createTracing, startSpan } from '../../../src/platform/tracing/tracing.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../../../scripts/lab/otlp-receiver.ts'
import { createTestCa, type Issued, type TestCa } from '../../fixtures/pki/ca.ts'
import { issueTo, tempDir } from '../../fixtures/pki/credential-files.ts'

let dir: Awaited<ReturnType<typeof tempDir>>
let ca: TestCa
let server: Issued
let client: CredentialFiles
let stranger: CredentialFiles
beforeAll(async () => {
  dir = await tempDir()
  ca = await createTestCa('crank.local')
  server = await ca.issue({ dns: ['localhost'], ips: ['127.0.0.1'] })
  client = await issueTo(`${dir.path}/own`, ca, 'client', 'spiffe://crank.local/controller')
  const otherCa = await createTestCa('elsewhere.test')
  stranger = await issueTo(`${dir.path}/other`, otherCa, 'client', 'spiffe://elsewhere.test/controller')
})
afterEach(() => {
  vi.unstubAllEnvs()
})
afterAll(() => dir[Symbol.asyncDispose]())

const listen = ({ clientsToo }: { clientsToo: boolean }): Promise<OtlpReceiver> =>
  startOtlpReceiver({ tls: { cert: server.certPem, key: server.keyPem, ...(clientsToo && { ca: ca.certPem }) } })

const withoutClient = ({ bundlePath }: CredentialFiles): NodeJS.ProcessEnv => ({
  OTEL_EXPORTER_OTLP_CERTIFICATE: bundlePath,
})
const mutual = (files: CredentialFiles, own = files, infix = ''): NodeJS.ProcessEnv => ({
  [`OTEL_EXPORTER_OTLP_${infix}CERTIFICATE`]: files.bundlePath,
  [`OTEL_EXPORTER_OTLP_${infix}CLIENT_CERTIFICATE`]: own.certFile,
  [`OTEL_EXPORTER_OTLP_${infix}CLIENT_KEY`]: own.keyFile,
})

/** Exports one span to `receiver`. @returns the names that arrived, and the events of the log. */
async function exportTo(receiver: OtlpReceiver, settings: NodeJS.ProcessEnv) {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...settings }
  // The exporter reads these files at its first export, and only from the variables of the process.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const events: unknown[] = []
  const write = (line: string): void => void events.push((JSON.parse(line) as { event: unknown }).event)
  const log = createLogger({ level: 'warn', service: 'x', destination: { write } })
  // The first TLS and gRPC of a process take their time on a loaded machine: only the export's own timeout ends the wait.
  const tracing = await createTracing({ service: 'x', version: '1', env, log, shutdownMs: 20_000 })
  startSpan(tracing.tracer, 'a', SpanKind.SERVER, undefined).end()
  await tracing.shutdown()
  await receiver.close()
  return { arrived: receiver.spans().map(({ name }) => name), events }
}

test.each([
  ['TLS and no client certificate', false, () => withoutClient(client)],
  ['mutual TLS', true, () => mutual(client)],
  ['mutual TLS, by the variables for traces alone', true, () => mutual(client, client, 'TRACES_')],
] as const)('spans arrive over %s', async (_what, clientsToo, tls) => {
  expect(await exportTo(await listen({ clientsToo }), tls())).toEqual({ arrived: ['a'], events: [] })
})

test.each([
  ['is of a CA that is not ours', false, () => withoutClient(stranger)],
  ['wants a client certificate, and gets none', true, () => withoutClient(client)],
  ['wants a client certificate, and gets a stranger’s', true, () => mutual(client, stranger)],
] as const)(
  'a collector that %s gets nothing; that is one warning and holds nothing up',
  async (_what, clientsToo, tls) => {
    const settings = { ...tls(), OTEL_EXPORTER_OTLP_TIMEOUT: '1000' }
    expect(await exportTo(await listen({ clientsToo }), settings)).toEqual({
      arrived: [],
      events: ['span_export_incomplete'],
    })
  },
)
