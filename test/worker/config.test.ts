import { describe, expect, test } from 'vitest'
import type { ConfigError } from '../../src/platform/setting-fault.ts'
import { loadWorkerConfig } from '../../src/worker/config.ts'

const tls = { CRANK_TLS_CERT: 'a.crt', CRANK_TLS_KEY: 'a.key', CRANK_TLS_BUNDLE: 'crank.local.pem' }

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadWorkerConfig({ env })
  } catch (error: unknown) {
    return (error as ConfigError).faults
  }
  return []
}

describe('the configuration of a worker', () => {
  test('has defaults for everything but the files', () => {
    expect(loadWorkerConfig({ env: tls })).toStrictEqual({
      controllerUrls: ['https://127.0.0.1:9000'],
      controllerId: 'spiffe://crank.local/controller',
      host: '127.0.0.1',
      port: 0,
      workerUrl: undefined,
      instance: undefined,
      stateDir: '.crank',
      identity: {
        from: 'files',
        certFile: 'a.crt',
        keyFile: 'a.key',
        bundlePath: 'crank.local.pem',
        trustDomain: 'crank.local',
      },
      logLevel: 'info',
    })
  })

  test('takes the controller of its own trust domain, unless another one is given', () => {
    const env = { ...tls, CRANK_TRUST_DOMAIN: 'td.test' }
    expect(loadWorkerConfig({ env }).controllerId).toBe('spiffe://td.test/controller')
    const flags = { CRANK_CONTROLLER_ID: 'spiffe://other.test/c' }
    expect(loadWorkerConfig({ env, flags }).controllerId).toBe('spiffe://other.test/c')
  })

  test('takes several controllers, each once', () => {
    const CONTROLLER_URL = 'https://a.test:9000, https://b.test:9000/,https://a.test:9000'
    expect(loadWorkerConfig({ env: { ...tls, CONTROLLER_URL } }).controllerUrls).toStrictEqual([
      'https://a.test:9000',
      'https://b.test:9000',
    ])
  })

  for (const [what, list, why] of [
    ['an entry that is no URL', 'https://a.test:9000,nowhere', '"nowhere" is not'],
    ['a list without an entry', ' , ', 'must be an https URL'],
    ['too many', Array.from({ length: 33 }, (_, n) => `https://a.test:${n + 1}`).join(), 'at most 32 URLs'],
  ] as const)
    test(`refuses ${what} as controllers`, () => {
      expect(faultsOf({ ...tls, CONTROLLER_URL: list })).toStrictEqual([
        expect.stringMatching(new RegExp(`^CONTROLLER_URL=.*${why}`)),
      ])
    })

  test('reports all faults at once', () => {
    const faults = faultsOf({
      CONTROLLER_URL: 'http://localhost:9000',
      CRANK_WORKER_PORT: 'abc',
      CRANK_WORKER_URL: 'https://user@host/path?x',
      CRANK_WORKER_INSTANCE: 'a.b',
      CRANK_CONTROLLER_ID: 'controller',
    })
    for (const name of [
      'CONTROLLER_URL',
      'CRANK_WORKER_PORT',
      'CRANK_WORKER_URL',
      'CRANK_WORKER_INSTANCE',
      'CRANK_CONTROLLER_ID',
      'CRANK_TLS_CERT',
      'CRANK_TLS_KEY',
      'CRANK_TLS_BUNDLE',
    ]) {
      expect(faults).toContainEqual(expect.stringContaining(name))
    }
  })

  test('listens on [::1], and refuses a port in the address', () => {
    expect(loadWorkerConfig({ env: { ...tls, CRANK_WORKER_HOST: '[::1]' } }).host).toBe('::1')
    expect(faultsOf({ ...tls, CRANK_WORKER_HOST: '127.0.0.1:0' })).toStrictEqual([
      expect.stringMatching(/CRANK_WORKER_HOST="127\.0\.0\.1:0": must be an address .* without a port/),
    ])
    expect(faultsOf({ ...tls, CRANK_WORKER_HOST: '[::]' })).toStrictEqual([expect.stringContaining('CRANK_WORKER_URL')])
  })

  test('refuses the name of a setting that was probably meant to be another', () => {
    expect(
      faultsOf({ ...tls, CRANK_WORKER_INSTANSE: 'a', CRANK_WORKER_HOSTS: 'x', CRANK_FROM_TOMORROW: '1' }),
    ).toStrictEqual([
      'CRANK_WORKER_INSTANSE: unknown setting; did you mean CRANK_WORKER_INSTANCE? Rename it, or unset it',
    ])
  })

  test('wants a URL to be told when the worker listens on every address', () => {
    expect(faultsOf({ ...tls, CRANK_WORKER_HOST: '0.0.0.0' })).toStrictEqual([
      expect.stringContaining('CRANK_WORKER_URL'),
    ])
    expect(faultsOf({ ...tls, CRANK_WORKER_HOST: '::', CRANK_WORKER_URL: 'https://worker:8443' })).toStrictEqual([])
  })
})
