import { describe, expect, test } from 'vitest'
import { parseWorkerUrl } from '../../../src/controller/routing/worker-url.ts'
import { parseHostRules } from '../../../src/platform/host-rules.ts'

const any = parseHostRules('')

describe('worker_url', () => {
  const good = {
    'https://127.0.0.1:8443': 'https://127.0.0.1:8443',
    'https://127.0.0.1:8443/': 'https://127.0.0.1:8443',
    'https://worker-a.mesh.local:8443': 'https://worker-a.mesh.local:8443',
    'https://[::1]:8443': 'https://[::1]:8443',
    'https://10.1.2.3': 'https://10.1.2.3',
  }
  for (const [url, origin] of Object.entries(good)) {
    test(`accepts ${url}`, () => expect(parseWorkerUrl(url, any)).toBe(origin))
  }

  const bad = [
    'http://127.0.0.1:8443',
    'https:evil.test',
    'https:///evil.test',
    'https://user@host:1',
    'https://user:pw@host',
    'https://host:1/path',
    'https://host:1/?q',
    'https://host:1/#f',
    'https://host:99999',
    'https://127.1:8443',
    'https://0x7f000001:8443',
    'https://2130706433',
    'https://0177.0.0.1',
    'https://①②⑦.0.0.1',
    'https://169.254.169.254',
    'https://[fe80::1]:443',
    'https://[::ffff:169.254.169.254]',
    'https://0.0.0.0:8443',
    'https://[::]:8443',
    'https://224.0.0.1',
    'https://HOST:1',
    ' https://host',
    'ftp://host',
    'https://ho st',
    'https://host\\@evil',
    '',
  ]
  for (const url of bad) {
    test(`refuses ${JSON.stringify(url)}`, () =>
      expect(() => parseWorkerUrl(url, any)).toThrow(expect.objectContaining({ code: 'request_invalid' })))
  }

  test('keeps to the hosts that the operator allows', () => {
    const rules = parseHostRules('10.0.0.0/8,*.mesh.local')
    expect(parseWorkerUrl('https://10.9.9.9:1', rules)).toBe('https://10.9.9.9:1')
    expect(parseWorkerUrl('https://a.mesh.local:1', rules)).toBe('https://a.mesh.local:1')
    expect(() => parseWorkerUrl('https://127.0.0.1:1', rules)).toThrow('CRANK_WORKER_HOSTS')
    expect(() => parseWorkerUrl('https://mesh.local.evil.test:1', rules)).toThrow('CRANK_WORKER_HOSTS')
  })
})
