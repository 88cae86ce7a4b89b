// What NetworkPolicies let through, as a plugin that enforces them decides it: a connection passes if the policies of the
// client's pod allow it to leave and those of the server's pod to enter; a pod that no policy selects is open.
import { ofKind, selects, type KubeObject, type Labels, type Selector } from './objects.ts'

/** A pod, or something like it in another namespace. */
export type Party = { readonly pod: Labels; readonly namespace: Labels }
type Peer = { readonly podSelector?: Selector; readonly namespaceSelector?: Selector; readonly ipBlock?: unknown }
type Rule = { readonly from?: readonly Peer[]; readonly to?: readonly Peer[]; readonly ports?: readonly Port[] }
type Port = { readonly protocol?: string; readonly port?: number | string; readonly endPort?: number }
type Spec = {
  readonly podSelector: Selector
  readonly policyTypes: readonly ('Ingress' | 'Egress')[]
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
}
type Connection = { readonly from: Party; readonly to: Party; readonly port: number; readonly protocol?: 'TCP' | 'UDP' }

/**
 * Whether the policies of `objects`, which are in the namespace with the labels `own`, let a connection through.
 * @throws {Error} for a policy with what this does not read: address blocks, port ranges and names of ports
 */
export function isAllowed(objects: readonly KubeObject[], own: Labels, connection: Connection): boolean {
  const policies = ofKind(objects, 'NetworkPolicy').map(({ spec }) => spec as unknown as Spec)
  const passes = (type: 'Ingress' | 'Egress', of: Party, other: Party): boolean => {
    if (!isSame(of.namespace, own)) return true
    const its = policies.filter(
      ({ podSelector, policyTypes }) => policyTypes.includes(type) && selects(podSelector, of.pod),
    )
    if (its.length === 0) return true
    const rules = its.flatMap((policy) => (type === 'Ingress' ? policy.ingress : policy.egress) ?? [])
    return rules.some((rule) => fitsPort(rule, connection) && fitsPeer(rule.from ?? rule.to, other, own))
  }
  return passes('Egress', connection.from, connection.to) && passes('Ingress', connection.to, connection.from)
}

function fitsPort({ ports }: Rule, { port, protocol = 'TCP' }: Connection): boolean {
  if (ports === undefined) return true
  return ports.some((one) => {
    if (typeof one.port !== 'number' || one.endPort !== undefined) throw new Error('a policy names no single port')
    return one.port === port && (one.protocol ?? 'TCP') === protocol
  })
}

function fitsPeer(peers: readonly Peer[] | undefined, party: Party, own: Labels): boolean {
  if (peers === undefined) return true
  return peers.some(({ podSelector, namespaceSelector, ipBlock }) => {
    if (ipBlock !== undefined) throw new Error('a policy names an address block')
    const isThere =
      namespaceSelector === undefined ? isSame(party.namespace, own) : selects(namespaceSelector, party.namespace)
    return isThere && selects(podSelector ?? {}, party.pod)
  })
}

function isSame(one: Labels, other: Labels): boolean {
  return one['kubernetes.io/metadata.name'] === other['kubernetes.io/metadata.name']
}
