// Where the audit log is shipped to, from the variables of logs alone, and over TLS.
import { describe, expect, test } from 'vitest'
import { shippedFrom, shippingTarget } from '../../../src/controller/audit-shipping/target.ts'
import type { ConfigError } from '../../../src/platform/setting-fault.ts'

const target = (variables: Record<string, string>) =>
  shippingTarget(
    Object.fromEntries(Object.entries(variables).map(([name, value]) => [`OTEL_EXPORTER_OTLP_LOGS_${name}`, value])),
  )
const ENDPOINT = 'https://collector.example:4318/v1/logs'

function faultsOf(variables: Record<string, string>): readonly string[] {
  try {
    target({ ENDPOINT, ...variables })
  } catch (cause: unknown) {
    return (cause as ConfigError).faults
  }
  return []
}

test('nothing is shipped by the general endpoint, which is that of traces', () => {
  expect(shippingTarget({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318' })).toBeUndefined()
  expect(target({ ENDPOINT: ' ' })).toBeUndefined()
  expect(shippingTarget({ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: ENDPOINT, OTEL_LOGS_EXPORTER: 'none' })).toBeUndefined()
})

test('by default: gzip, ten seconds, and the address as it is', () => {
  expect(target({ ENDPOINT })).toMatchObject({ endpoint: ENDPOINT, gzip: true, timeoutMs: 10_000, headers: {} })
})

test('it can be handed to a thread', () => {
  const given = target({ ENDPOINT, HEADERS: 'a=b' })
  expect(structuredClone(given)).toEqual(given)
})

test('what is shipped says from where, with what an operator adds', () => {
  const env = {
    OTEL_SERVICE_NAME: 'mine',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod%20eu, host.name=a,broken',
  }
  expect(shippedFrom(env, { service: 'crank-controller', version: '1.2.3', host: 'b' })).toEqual({
    resource: {
      'service.name': 'mine',
      'service.version': '1.2.3',
      'host.name': 'a',
      'deployment.environment.name': 'prod eu',
    },
    scope: { name: 'crank.audit', version: '1.2.3' },
  })
})

const FAULTS: Readonly<Record<string, Record<string, string>>> = {
  'an address without a scheme': { ENDPOINT: 'collector:4318' },
  'another scheme': { ENDPOINT: 'ftp://collector/v1/logs' },
  'a user in the address': { ENDPOINT: 'https://me:secret@collector/v1/logs' },
  'another protocol': { PROTOCOL: 'grpc' },
  'a header without a value': { HEADERS: 'authorization' },
  'a header with a line break': { HEADERS: 'x=a%0D%0Ay: z' },
  'a broken escape': { HEADERS: 'x=%zz' },
  'a header of ours': { HEADERS: 'content-type=text/plain' },
  'a time without a number': { TIMEOUT: '10s' },
  'no time': { TIMEOUT: '0' },
  'another compression': { COMPRESSION: 'zstd' },
  'a certificate without a key': { CLIENT_CERTIFICATE: '/x.pem' },
}
describe('refuses', () => {
  for (const [what, variables] of Object.entries(FAULTS))
    test(`${what}, with the name of the variable`, () => {
      expect(faultsOf(variables)).toEqual([expect.stringMatching(/^OTEL_EXPORTER_OTLP_LOGS_[A-Z]+/)])
    })

  test('everything at once, and says no secret', () => {
    const faults = faultsOf({ HEADERS: 'authorization=Bearer%0Asecret', TIMEOUT: 'x', ENDPOINT: 'https://u:secret@c/' })
    expect(faults).toHaveLength(3)
    expect(faults.join()).not.toContain('secret')
  })
})
