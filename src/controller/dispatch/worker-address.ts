// Where a connection to a worker really goes: the name is resolved for every new connection, and only addresses that the rules
// allow at that moment are connected to. What a name stood for at registration counts for nothing (DNS rebinding).
import { isIP } from 'node:net'
import { isNeverAWorker } from '../../platform/address-rules.ts'
import { ConnectError } from '../../platform/tls/connect-failure.ts'
import type { HostLookup } from '../../platform/host-lookup.ts'
import type { HostRules } from '../../platform/host-rules.ts'

/** @throws {ConnectError} `address` from the returned function, when nothing that the host stands for is allowed */
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
  return new ConnectError('address', `no worker may be at ${what}`)
}
