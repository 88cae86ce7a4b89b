// `crank spiffe fetch`: what a SPIFFE Workload API gives this user, and whether it can be used.
import { times } from '../platform/svid/chain-words.ts'
import { isoTime } from '../core/iso-time.ts'
import { fault } from '../platform/setting-fault.ts'
import { parseWorkloadEndpoint, type WorkloadEndpoint } from '../platform/spiffe/endpoint.ts'
import { fetchX509Response, readEachSvid, type GivenSvid } from '../platform/spiffe/fetch-once.ts'
import { WORKLOAD_API_TIMEOUT_MS } from './own-identity.ts'
import { environment } from './environment.ts'
import { CliError, EXIT, messageOf, type ExitCode } from './exit.ts'
import { paint, writeJson, writeLine, writeTable, type Format } from './output.ts'
import { formatLeft } from './time-left.ts'

type FetchOptions = { readonly endpoint?: string | undefined; readonly output: Format }

/** Prints SVIDs and bundles, never keys; `negative` if an SVID cannot be used. */
export async function fetchSvids({ endpoint: given, output }: FetchOptions): Promise<ExitCode> {
  const endpoint = endpointOf(given)
  const response = await fetchX509Response(endpoint, WORKLOAD_API_TIMEOUT_MS).catch((cause: unknown) => {
    throw new CliError(EXIT.unreachable, messageOf(cause), { cause })
  })
  const svids = readEachSvid(endpoint, response, Date.now())
  if (output === 'json') writeJson(toJson(endpoint, svids, response.crls.length))
  else print(svids, response.crls.length)
  return svids.length > 0 && svids.every(({ credentials }) => credentials !== undefined) ? EXIT.ok : EXIT.negative
}

function endpointOf(given: string | undefined): WorkloadEndpoint {
  const text = given ?? environment()['SPIFFE_ENDPOINT_SOCKET'] ?? ''
  if (text === '') {
    const hint = 'such as unix:///run/spire/sockets/agent.sock'
    throw new CliError(EXIT.usage, 'SPIFFE_ENDPOINT_SOCKET is not set; set it, or pass --endpoint', { hint })
  }
  try {
    return parseWorkloadEndpoint(text)
  } catch (cause: unknown) {
    const name = given === undefined ? 'SPIFFE_ENDPOINT_SOCKET' : '--endpoint'
    throw new CliError(EXIT.usage, fault(name, text, messageOf(cause)), { cause })
  }
}

/** The CAs by trust domain: all SVIDs of a response come with the same. */
function bundlesOf(svids: readonly GivenSvid[]) {
  const bundles = new Map(svids.flatMap(({ credentials }) => [...(credentials?.bundles ?? [])]))
  return [...bundles].map(([trustDomain, anchors]) => ({
    trust_domain: trustDomain,
    authorities: anchors.map((anchor) => isoTime(times(anchor).notAfterMs)),
  }))
}

function toJson(endpoint: WorkloadEndpoint, svids: readonly GivenSvid[], lists: number) {
  return {
    endpoint: endpoint.text,
    svids: svids.map(({ spiffeId, hint, credentials, faults }) => ({
      spiffe_id: spiffeId,
      hint: hint === '' ? null : hint,
      not_before: credentials === undefined ? null : isoTime(credentials.notBeforeMs),
      not_after: credentials === undefined ? null : isoTime(credentials.notAfterMs),
      faults,
    })),
    bundles: bundlesOf(svids),
    revocation_lists: lists,
  }
}

function print(svids: readonly GivenSvid[], lists: number): void {
  writeTable(
    [
      { title: 'SPIFFE ID', cell: ({ spiffeId }: GivenSvid) => spiffeId },
      { title: 'HINT', cell: ({ hint }: GivenSvid) => (hint === '' ? '-' : hint) },
      { title: 'LEFT', cell: ({ credentials }: GivenSvid) => (credentials === undefined ? '-' : leftOf(credentials)) },
    ],
    svids,
  )
  for (const { trust_domain: trustDomain, authorities } of bundlesOf(svids)) {
    writeLine(`bundle of ${trustDomain}: ${authorities.length} CA, until ${authorities.join(', ')}`)
  }
  if (lists > 0) writeLine(`revocation lists: ${lists}`)
  for (const fault of new Set(svids.flatMap(({ faults }) => faults))) writeLine(`${paint('red', '×')} ${fault}`)
}

function leftOf({ notAfterMs }: { notAfterMs: number }): string {
  return formatLeft(notAfterMs - Date.now())
}
