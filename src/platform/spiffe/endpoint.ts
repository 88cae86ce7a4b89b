// The address of a SPIFFE Workload API: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_Endpoint.md,
// section 4. Parsed by hand: a URL parser would accept and normalise what the section forbids.
import { isIPv4, isIPv6 } from 'node:net'

/** `text`: as it was configured, for messages. `target`: the same as gRPC writes it. */
export type WorkloadEndpoint = { readonly text: string; readonly target: string }

const UNIX = /^unix:\/\/(\/[^?#%\s\p{Cc}]+)$/u
const TCP = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/?#@[\]]+)):(\d{1,5})$/
const MAX_PORT = 65_535

/**
 * Parses `unix:///absolute/path` or `tcp://ip:port`.
 * @throws {Error} a sentence that begins with "must be", for a setting
 */
export function parseWorkloadEndpoint(text: string): WorkloadEndpoint {
  const path = UNIX.exec(text)?.[1]
  if (path !== undefined) return { text, target: `unix://${path}` }
  const [, v6, v4, port] = TCP.exec(text) ?? []
  const isPort = port !== undefined && Number(port) > 0 && Number(port) <= MAX_PORT
  if (isPort && v4 !== undefined && isIPv4(v4)) return { text, target: `ipv4:${v4}:${port}` }
  if (isPort && v6 !== undefined && isIPv6(v6)) return { text, target: `ipv6:[${v6}]:${port}` }
  throw new Error('must be unix:///path of a socket, or tcp://ip:port (an IP address, and nothing after the port)')
}
