// Addresses of a Workload API: the table of go-spiffe's tests, by the rules of SPIFFE_Workload_Endpoint.md, section 4.
import { describe, expect, test } from 'vitest'
import { parseWorkloadEndpoint } from '../../../src/platform/spiffe/endpoint.ts'

describe('an address', () => {
  test.each([
    ['unix:///run/spire/agent.sock', 'unix:///run/spire/agent.sock'],
    ['unix:////double', 'unix:////double'],
    ['tcp://127.0.0.1:8081', 'ipv4:127.0.0.1:8081'],
    ['tcp://1.2.3.4:5', 'ipv4:1.2.3.4:5'],
    ['tcp://[::1]:65535', 'ipv6:[::1]:65535'],
  ])('%s is taken', (text, target) => {
    expect(parseWorkloadEndpoint(text)).toEqual({ text, target })
  })

  test.each([
    ...['', '\t', 'blah', '/run/agent.sock', 'http://127.0.0.1:80', 'UNIX:///x', 'unix:///x\n', 'unix:///x y'],
    ...[
      'unix:opaque',
      'unix:/x',
      'unix://',
      'unix:///',
      'unix://foo',
      'unix://foo?x',
      'unix://u:p@foo/p',
      'unix://host/p',
    ],
    ...['unix:///x?q', 'unix:///x#f', 'unix:///%41'],
    ...[
      'tcp:opaque',
      'tcp://',
      'tcp://1.2.3.4',
      'tcp://1.2.3.4:',
      'tcp://1.2.3.4:0',
      'tcp://1.2.3.4:65536',
      'tcp://foo:5',
    ],
    ...['tcp://foo', 'tcp://localhost:5', 'tcp://1.2.3.4:5/path', 'tcp://1.2.3.4:5?x', 'tcp://1.2.3.4:5#x'],
    ...['tcp://u:p@1.2.3.4:5', 'tcp://::1:5', 'tcp://[1.2.3.4]:5', 'tcp://[::1]', 'tcp://01.2.3.4:5'],
  ])('%j is refused', (text) => {
    expect(() => parseWorkloadEndpoint(text)).toThrow(
      'must be unix:///path of a socket, or tcp://ip:port (an IP address, and nothing after the port)',
    )
  })
})
