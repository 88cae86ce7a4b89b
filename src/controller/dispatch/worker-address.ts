// Resolves the address of a worker for every new connection, and allows only addresses that the rules permit at that moment.
// The address at registration does not matter, because it may change (DNS rebinding).
import { isIP } from 'node:net'
import { isNeverAWorker } from '../../platform/address-rules.ts'
import { ConnectError } from '../../platform/tls/connect-failure.ts'
import type { HostLookup } from '../../platform/host-lookup.ts'
import type { HostRules } from '../../platform/host-rules.ts'

/** The returned function throws a ConnectError `address` when none of the host's addresses is allowed. */
export function createWorkerAddresses({ lookup, rules }: { lookup: HostLookup; rules: HostRules }): HostLookup {
  return async (host, owner, signal) => {
    if (!rules.allows(host)) throw refused(host)
    const family = isIP(host)
    const addresses = family === 0 ? await lookup(host, owner, signal) : [{ address: host, family }]
    const allowed = addresses.filter(({ address }) => isAllowed(address, family === 0, rules))
    if (allowed.length === 0) throw refused(addresses.map(({ address }) => address).join(', '))
    return allowed
  }
}

function isAllowed(address: string, isBehindName: boolean, rules: HostRules): boolean {
  return !isNeverAWorker(address) && (!isBehindName || rules.allowsBehindName(address))
}

function refused(what: string): ConnectError {
  return new ConnectError('address', `not an allowed address of a worker: ${what}`)
}
