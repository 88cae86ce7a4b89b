// Addresses that no worker can have: link-local (where clouds run their metadata services), multicast and unspecified ones;
// also IPv6 forms that wrap such an IPv4 address (mapped, NAT64, 6to4, Teredo), which a gateway would unwrap.
import { BlockList, isIP } from 'node:net'

const NEVER = blockList([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/128',
  'fe80::/10',
  'ff00::/8',
  // The metadata service of EC2 for IPv6: formally a unique local address, used as a link-local one.
  'fd00:ec2::254/128',
])

/** Where an IPv6 form holds the IPv4 address: at group `at` (16 bits each) of an address that begins with the groups `prefix`. */
type Wrapping = { readonly prefix: readonly number[]; readonly at: number; readonly inverted?: boolean }
const WRAPPINGS: readonly Wrapping[] = [
  { prefix: [0, 0, 0, 0, 0, 0xffff], at: 6 }, // ::ffff:0:0/96, IPv4-mapped
  { prefix: [0, 0, 0, 0, 0xffff, 0], at: 6 }, // ::ffff:0:0:0/96, IPv4-translated
  { prefix: [0, 0, 0, 0, 0, 0], at: 6 }, // ::/96, IPv4-compatible
  { prefix: [0x64, 0xff9b, 0, 0, 0, 0], at: 6 }, // 64:ff9b::/96, NAT64
  { prefix: [0x64, 0xff9b, 1], at: 6 }, // 64:ff9b:1::/48, local NAT64 with a /96
  { prefix: [0x2002], at: 1 }, // 2002::/16, 6to4
  { prefix: [0x2001, 0], at: 6, inverted: true }, // 2001::/32, Teredo
]

/** Whether no worker can have this address, in whatever form it is written. False for text that is not an address. */
export function isNeverAWorker(address: string): boolean {
  const family = isIP(address)
  if (family === 0) return false
  if (NEVER.check(address, family === 6 ? 'ipv6' : 'ipv4')) return true
  return family === 6 && wrappedAddresses(address).some((wrapped) => NEVER.check(wrapped, 'ipv4'))
}

function wrappedAddresses(address: string): string[] {
  const groups = groupsOf(address)
  const found = WRAPPINGS.filter(({ prefix }) => prefix.every((group, index) => groups[index] === group))
  // ::1 is loopback, not the IPv4 address 0.0.0.1.
  if (groups.slice(0, 7).every((group) => group === 0)) return []
  return found.map(({ at, inverted = false }) => {
    const flip = inverted ? 0xffff : 0
    const [high = 0, low = 0] = groups.slice(at, at + 2).map((group) => group ^ flip)
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
  })
}

/** The eight groups of an address that `isIP` recognises as IPv6. */
function groupsOf(address: string): number[] {
  // The URL parser turns every form into the canonical one: hexadecimal, lower case.
  const bare = address.replace(/%.*$/, '')
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1)
  const [front = '', back] = canonical.split('::')
  const left = front === '' ? [] : front.split(':')
  const right = back === undefined || back === '' ? [] : back.split(':')
  const zeros = Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...(back === undefined ? [] : zeros), ...right].map((group) => Number.parseInt(group, 16))
}

function blockList(cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', bits] = cidr.split('/')
    list.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}
