import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { parseOpaUrl } from '../../src/policy/engine/opa-target.ts'
import type { ConfigError } from '../../src/platform/setting-fault.ts'

const TLS = { CRANK_TLS_CERT: 'controller.crt', CRANK_TLS_KEY: 'controller.key', CRANK_TLS_BUNDLE: 'crank.local.pem' }

function faultsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadControllerConfig({ env })
  } catch (error: unknown) {
    return (error as ConfigError).faults
  }
  return []
}

describe('loadControllerConfig', () => {
  test('has a default for everything but the TLS files', () => {
    const { workerHosts, adminAllowedHosts, ...config } = loadControllerConfig({ env: TLS })
    expect(workerHosts.any).toBe(true)
    expect(adminAllowedHosts.text).toEqual([])
    expect(config).toEqual({
      listen: { host: '127.0.0.1', port: 9000 },
      admin: { host: '127.0.0.1', port: 9001 },
      trustDomain: 'crank.local',
      controllerId: 'spiffe://crank.local/controller',
      identity: {
        from: 'files',
        certFile: 'controller.crt',
        keyFile: 'controller.key',
        bundlePath: 'crank.local.pem',
        trustDomain: 'crank.local',
      },
      tlsRefuseUnverified: false,
      policyDir: path.resolve('policies'),
      chainKeyFile: undefined,
      sloPlace: { dir: 'slos', mayBeAbsent: true },
      opa: undefined,
      policyTimeoutMs: 100,
      policyStaleness: { maxMs: undefined, action: 'warn' },
      policyBundleRollback: 'refuse',
      decisionCache: 'off',
      stateDir: path.resolve('.crank'),
      auditDir: path.resolve('.crank/audit'),
      auditDirGiven: false,
      auditLimits: { maxBytes: 268_435_456, maxAgeMs: 86_400_000 },
      auditKeep: { maxAgeMs: undefined, maxBytes: undefined },
      auditMinFree: { percent: 5 },
      auditFull: 'stop',
      auditSync: 'fsync',
      auditStream: false,
      bodyLimitBytes: 1_048_576,
      maxConnections: 10_000,
      processes: 1,
      heartbeatIntervalMs: 10_000,
      lameDuckMs: 3000,
      drainTimeoutMs: 10_000,
      logLevel: 'info',
    })
    expect(faultsOf({})).toEqual([
      'CRANK_TLS_CERT is not set: must be the path of a PEM file; or set SPIFFE_ENDPOINT_SOCKET in place of the three files',
      'CRANK_TLS_KEY is not set: must be the path of a PEM file',
      'CRANK_TLS_BUNDLE is not set: must be the path of a PEM file, or of a folder of <trust-domain>.pem',
    ])
  })

  test('what depends on another setting follows it', () => {
    const config = loadControllerConfig({
      env: { ...TLS, CRANK_TRUST_DOMAIN: 'prod.example', CRANK_STATE_DIR: '/var/crank' },
    })
    expect(config).toMatchObject({
      controllerId: 'spiffe://prod.example/controller',
      identity: { trustDomain: 'prod.example' },
      auditDir: '/var/crank/audit',
    })
  })

  test.each([
    ['[::1]', '::1'],
    ['::1', '::1'],
    ['0.0.0.0', '0.0.0.0'],
    ['crank.local', 'crank.local'],
  ])('listens on %s', (text, host) => {
    const config = loadControllerConfig({ env: { ...TLS, CRANK_HOST: text, CRANK_ADMIN_HOST: text } })
    expect([config.listen.host, config.admin.host]).toEqual([host, host])
  })

  test('takes the name of a worker setting beside its own', () => {
    expect(faultsOf({ ...TLS, CRANK_WORKER_HOST: '0.0.0.0', CRANK_WORKER_HOSTS: '10.0.0.0/8' })).toEqual([])
  })

  test('takes flags before variables, port 0, and HTTPS_ONLY=true', () => {
    const staleness = { CRANK_POLICY_MAX_STALENESS: '1h', CRANK_POLICY_STALENESS_ACTION: 'deny' }
    const env = { ...TLS, ...staleness, HTTPS_ONLY: 'true', CRANK_PORT: '1', OPA_URL: 'unix:///run/opa.sock' }
    const flags = { CRANK_PORT: '0', CRANK_ADMIN_PORT: '0', CRANK_AUDIT_DIR: '/a/b' }
    expect(loadControllerConfig({ env, flags })).toMatchObject({
      listen: { port: 0 },
      admin: { port: 0 },
      opa: { kind: 'unix', path: '/run/opa.sock' },
      policyStaleness: { maxMs: 3_600_000, action: 'deny' },
      auditDir: '/a/b',
      auditDirGiven: true,
    })
  })

  test('reports all faults at once, those of types, of parsers and between fields', () => {
    const faults = faultsOf({
      CRANK_TLS_CERT: 'c',
      CRANK_TLS_KEY: 'k',
      OPA_TIMEOUT_MS: '0',
      CRANK_AUDIT_SYNC: 'sometimes',
      TLS_REFUSE_UNVERIFIED: '1',
      LOG_LEVEL: 'loud',
      CRANK_CONTROLLER_ID: 'spiffe://other.example/controller',
      CRANK_PORT: '9001',
      OPA_URL: 'https://opa:8181',
      CRANK_WORKER_HOSTS: 'worker.local,10.0.0.0/33',
      HTTPS_ONLY: 'false',
    })
    expect(faults).toEqual([
      'TLS_REFUSE_UNVERIFIED="1": must be true or false',
      'OPA_TIMEOUT_MS="0": must be an integer from 1 to 60000',
      'CRANK_AUDIT_SYNC="sometimes": must be one of fsync, write',
      'LOG_LEVEL="loud": must be one of fatal, error, warn, info, debug, trace, silent',
      'OPA_URL="https://opa:8181": must be http://host:port or unix:///absolute/path',
      'CRANK_WORKER_HOSTS="worker.local,10.0.0.0/33": must be host names, *.suffix or CIDR ranges, separated by commas; "10.0.0.0/33" is none of these',
      'HTTPS_ONLY="false": must be true or unset: the controller supports only mutual TLS',
      'CRANK_TLS_BUNDLE is not set: must be the path of a PEM file, or of a folder of <trust-domain>.pem',
      'CRANK_CONTROLLER_ID="spiffe://other.example/controller": must be in the trust domain crank.local (CRANK_TRUST_DOMAIN)',
      'CRANK_ADMIN_PORT="9001": must differ from CRANK_PORT on the same host',
    ])
  })

  test.each([
    ['CRANK_TRUST_DOMAIN', 'Crank.local', /must be a trust domain: /],
    ['CRANK_CONTROLLER_ID', 'spiffe://crank.local', /must be a SPIFFE ID such as .*: path is missing/],
    ['CRANK_POLICY_MAX_STALENESS', 'soon', /must be a duration such as 30s/],
    ['CRANK_POLICY_MAX_STALENESS', '9s', /must be at least 10s/],
    ['CRANK_POLICY_STALENESS_ACTION', 'panic', /must be one of warn, degrade, deny/],
    ['CRANK_BODY_LIMIT_BYTES', '12', /must be an integer from 1024 to 67108864/],
    ['CRANK_MAX_CONNECTIONS', '0', /must be an integer from 1 to 1000000/],
    ['CRANK_HEARTBEAT_INTERVAL_MS', '1', /must be an integer from 50 to 3600000/],
    ['CRANK_DRAIN_TIMEOUT_MS', 'soon', /must be an integer from 1 to 3600000/],
    ['CRANK_HOST', '[::1]:9000', /must be an address or host name of this machine, without a port/],
    ['CRANK_ADMIN_HOST', 'localhost:9001', /must be an address or host name of this machine, without a port/],
    ['CRANK_AUDT_DIR', '/a', /^CRANK_AUDT_DIR: .*did you mean CRANK_AUDIT_DIR\?/],
    ['CRANK_AUDIT_FILE', '/a', /^CRANK_AUDIT_FILE: no longer read: .*set CRANK_AUDIT_DIR, a folder/],
    ['CRANK_AUDIT_KEEP', '3', /^CRANK_AUDIT_KEEP="3": must be an age such as 400d, a size/],
    ['CRANK_AUDIT_KEEP', '3d,4d', /^CRANK_AUDIT_KEEP="3d,4d": must be an age such as 400d, a size/],
    ['CRANK_AUDIT_KEEP', '1s', /^CRANK_AUDIT_KEEP="1s": must keep at least 1m/],
    ['CRANK_AUDIT_KEEP', '400D', /must be an age such as 400d/],
    ['CRANK_AUDIT_KEEP', '1B', /must keep at least 1m, or 64KiB/],
    ['CRANK_AUDIT_MIN_FREE', '100%', /must be a part of the disk below 100%/],
    ['CRANK_AUDIT_MIN_FREE', 'half', /^CRANK_AUDIT_MIN_FREE="half": must be a part of the disk/],
    ['CRANK_AUDIT_SEGMENT_SIZE', '1KiB', /^CRANK_AUDIT_SEGMENT_SIZE="1KiB": must be from 64KiB to 4GiB/],
    ['CRANK_AUDIT_SEGMENT_AGE', '1s', /^CRANK_AUDIT_SEGMENT_AGE="1s": must be from 1m to 366d/],
    ['CRANK_AUDIT_STREAM', 'on', /^CRANK_AUDIT_STREAM="on": needs CRANK_NATS_URL, the NATS servers/],
    ['CRANK_AUDIT_STREAM', 'yes', /must be one of off, on/],
    ['CRANK_WORKER_HOST', '10.0.0.1', /did you mean CRANK_WORKER_HOSTS/],
    ['OPA_TIMEOUT', '50', /did you mean OPA_TIMEOUT_MS\?/],
    ['CRANK_PORT', 'tcp://10.0.0.1:9000', /must be an integer.*Kubernetes sets it for a service named "crank"/],
  ])('refuses %s=%s', (name, value, sentence) => {
    const faults = faultsOf({ ...TLS, [name]: value })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(sentence)
  })
})

describe('parseOpaUrl', () => {
  test.each([
    ['http://127.0.0.1:8181', { kind: 'tcp', origin: 'http://127.0.0.1:8181' }],
    ['http://opa:8181/', { kind: 'tcp', origin: 'http://opa:8181' }],
    ['http://[::1]:8181', { kind: 'tcp', origin: 'http://[::1]:8181' }],
    ['unix:///run/opa/opa.sock', { kind: 'unix', path: '/run/opa/opa.sock' }],
  ])('takes %s', (text, address) => {
    expect(parseOpaUrl(text)).toEqual(address)
  })

  test.each([
    'opa:8181',
    'https://opa',
    'http://u:p@opa',
    'http://opa/v1/data',
    'http://opa?x',
    'unix://run/opa',
    'unix:///',
    '',
  ])('refuses %j', (text) => {
    expect(() => parseOpaUrl(text)).toThrow('must be http://host:port or unix:///absolute/path')
  })
})

test('docs/configuration.md is what the schemas say', () => {
  const child = spawnSync(process.execPath, ['scripts/generate-configuration-docs.ts', '--check'], { encoding: 'utf8' })
  expect({ status: child.status, stderr: child.stderr }).toEqual({ status: 0, stderr: '' })
})
