// The manifests of a policy folder.
import { parseCapability, type Capability } from '../../core/capability.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import type { PolicyFiles } from './policy-files.ts'

export type Manifest = {
  readonly spiffeId: SpiffeId
  readonly workerId: string
  readonly required: readonly Capability[]
  readonly provided: readonly Capability[]
  /** The unchanged text, which need not be a valid time. */
  readonly deployedAt: string | undefined
}

type Written = {
  worker_id: string
  required_capabilities: string[]
  provided_capabilities?: string[]
  deployed_at?: string
}

/** The manifests of a folder that was loaded and therefore checked. */
export function manifestsIn({ dataText }: Pick<PolicyFiles, 'dataText'>): Manifest[] {
  const { workers = {} } = JSON.parse(dataText) as { workers?: Record<string, Written> }
  return Object.entries(workers).map(([spiffeId, written]) => ({
    spiffeId: parseSpiffeId(spiffeId),
    workerId: written.worker_id,
    required: written.required_capabilities.map(parseCapability),
    provided: (written.provided_capabilities ?? []).map(parseCapability),
    deployedAt: written.deployed_at,
  }))
}
