// The entry point `@crank/worker/spiffe`: X.509-SVIDs of a SPIFFE Workload API, and mutual TLS with them, for any program.
// docs/spiffe.md has examples.
export type { SpiffeId } from '../core/spiffe-id.ts'
export {
  createX509Source,
  type VerifiedPeer,
  type X509Context,
  type X509Source,
  type X509SourceOptions,
} from './x509-source.ts'
