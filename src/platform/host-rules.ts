// Which hosts a URL may name: a list of host names, `*.suffix` and CIDR ranges.
import { BlockList, isIP } from 'node:net'

/** Which hosts are allowed. `any`: the list is empty, so every host is. */
export type HostRules = {
  readonly any: boolean
  readonly text: readonly string[]
  readonly allows: (host: string) => boolean
  /** Whether an allowed name may resolve to this address: to any, unless the list has ranges; then only to one inside them. */
  readonly allowsBehindName: (address: string) => boolean
}

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
const NAME = new RegExp(`^(?:${LABEL}\\.)*${LABEL}$`)

/**
 * Parses a comma-separated list: `worker.local`, `*.svc.cluster.local` (one or more labels in front), `10.0.0.0/8`,
 * `fd00::/8`, single addresses. Names are compared without case, addresses by value; a name is never resolved.
 * @throws {Error} with a sentence that names the first invalid entry.
 */
export function parseHostRules(list: string): HostRules {
  const text = list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
  const ranges = new BlockList()
  const names = new Set<string>()
  const suffixes: string[] = []
  let hasRanges = false
  for (const entry of text) {
    if (addRange(ranges, entry)) {
      hasRanges = true
      continue
    }
    const name = entry.startsWith('*.') ? entry.slice(2) : entry
    if (!NAME.test(name) || looksNumeric(name)) {
      throw new Error(`must be host names, *.suffix or CIDR ranges, separated by commas; "${entry}" is none of these`)
    }
    if (name === entry) names.add(name)
    else suffixes.push(`.${name}`)
  }
  const allows = (host: string): boolean => {
    const bare = bareHost(host)
    // A zone (`fe80::1%eth0`) is valid on one machine only.
    if (bare.includes('%')) return false
    const family = isIP(bare)
    if (family !== 0) return ranges.check(bare, family === 6 ? 'ipv6' : 'ipv4')
    return names.has(bare) || suffixes.some((suffix) => bare.endsWith(suffix) && bare.length > suffix.length)
  }
  const any = text.length === 0
  const allowsBehindName = (address: string): boolean =>
    !hasRanges || (isIP(bareHost(address)) !== 0 && allows(address))
  return { any, text, allows: any ? () => true : allows, allowsBehindName }
}

function addRange(ranges: BlockList, entry: string): boolean {
  const [address = '', prefix, ...rest] = entry.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0 || address.includes('%')) return false
  const type = family === 6 ? 'ipv6' : 'ipv4'
  const bits = family === 6 ? 128 : 32
  if (prefix === undefined) {
    ranges.addAddress(address, type)
    return true
  }
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) return false
  ranges.addSubnet(address, Number(prefix), type)
  return true
}

// A last label of digits means an address that failed to parse (300.1.1.1), never a host name.
function looksNumeric(name: string): boolean {
  return /(?:^|\.)\d+$/.test(name)
}

function bareHost(host: string): string {
  const lower = host.toLowerCase()
  return lower.startsWith('[') && lower.endsWith(']') ? lower.slice(1, -1) : lower.replace(/\.$/, '')
}
