// The one source of an identity: three files, or a Workload API.
import { describe, expect, test } from 'vitest'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { readIdentitySource } from '../../../src/platform/settings.ts'

const trustDomain = parseTrustDomain('td1.test')
const FILES = { CRANK_TLS_CERT: 'a.crt', CRANK_TLS_KEY: 'a.key', CRANK_TLS_BUNDLE: 'a.pem' }
const SOCKET = { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/agent.sock' }

function read(values: Parameters<typeof readIdentitySource>[0]) {
  const faults: string[] = []
  return { source: readIdentitySource(values, trustDomain, faults), faults }
}

describe('an identity comes', () => {
  test('from the three files', () => {
    expect(read(FILES)).toEqual({
      source: { from: 'files', certFile: 'a.crt', keyFile: 'a.key', bundlePath: 'a.pem', trustDomain },
      faults: [],
    })
  })

  test.each([
    [undefined, { by: 'first' }],
    ['internal', { by: 'hint', hint: 'internal' }],
    ['spiffe://td1.test/worker/a', { by: 'id', id: 'spiffe://td1.test/worker/a' }],
  ])('from the Workload API, with CRANK_SVID=%s', (svid, choice) => {
    const { source, faults } = read(svid === undefined ? SOCKET : { ...SOCKET, CRANK_SVID: svid })
    expect(faults).toEqual([])
    expect(source).toMatchObject({
      from: 'workload_api',
      choice,
      trustDomain,
      endpoint: { text: 'unix:///run/agent.sock' },
    })
  })
})

describe('refused with a sentence that says what to do', () => {
  test.each([
    [
      'both sources',
      { ...SOCKET, ...FILES },
      'SPIFFE_ENDPOINT_SOCKET="unix:///run/agent.sock": is set together with CRANK_TLS_CERT, CRANK_TLS_KEY, CRANK_TLS_BUNDLE: an identity has one source; unset the one or the others',
    ],
    [
      'a socket and a bundle',
      { ...SOCKET, CRANK_TLS_BUNDLE: 'a.pem' },
      'SPIFFE_ENDPOINT_SOCKET="unix:///run/agent.sock": is set together with CRANK_TLS_BUNDLE: an identity has one source; unset the one or the others',
    ],
    [
      'a choice without a Workload API',
      { ...FILES, CRANK_SVID: 'internal' },
      'CRANK_SVID="internal": is for SPIFFE_ENDPOINT_SOCKET: set that, or unset this',
    ],
    [
      'a choice that is no SPIFFE ID',
      { ...SOCKET, CRANK_SVID: 'spiffe://td1.test' },
      'CRANK_SVID="spiffe://td1.test": must be a SPIFFE ID or a hint: path is missing: only a trust domain has none (X509-SVID 3.1)',
    ],
    [
      'a path without a scheme',
      { SPIFFE_ENDPOINT_SOCKET: '/run/agent.sock' },
      'SPIFFE_ENDPOINT_SOCKET="/run/agent.sock": must be unix:///path of a socket, or tcp://ip:port (an IP address, and nothing after the port)',
    ],
    [
      'files without a bundle',
      { CRANK_TLS_CERT: 'a.crt', CRANK_TLS_KEY: 'a.key' },
      'CRANK_TLS_BUNDLE is not set: must be the path of a PEM file, or of a folder of <trust-domain>.pem',
    ],
  ])('%s', (_, values, sentence) => {
    expect(read(values)).toEqual({ source: undefined, faults: [sentence] })
  })

  test('neither source', () => {
    expect(read({}).faults).toEqual([
      'CRANK_TLS_CERT is not set: must be the path of a PEM file; or set SPIFFE_ENDPOINT_SOCKET in place of the three files',
      'CRANK_TLS_KEY is not set: must be the path of a PEM file',
      'CRANK_TLS_BUNDLE is not set: must be the path of a PEM file, or of a folder of <trust-domain>.pem',
    ])
  })
})
