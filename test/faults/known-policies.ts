// The policies of a scenario by revision, and what the oracle says about a recorded decision under the revision it names.
import { splitCapability, parseCapability } from '../../src/core/capability.ts'
import type { PolicyInput } from '../../src/core/decision.ts'
import { parseAsWritten } from '../../src/policy/data/raw-json.ts'
import { loadPolicyFiles } from '../../src/policy/data/policy-files.ts'
import type { DataSet } from '../fixtures/policy-corpus.ts'
import { oracleAllows } from '../fixtures/policy-oracle.ts'
import type { Oracle } from './history.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

export type KnownPolicies = {
  /** `revision`: its name, if it is not the one that the controller gives the folder. */
  readonly know: (policyDir: string, revision?: string) => Promise<void>
  readonly oracle: Oracle
}

export function createKnownPolicies(): KnownPolicies {
  const byRevision = new Map<string, DataSet>()
  return {
    async know(policyDir, revision) {
      const files = await loadPolicyFiles(policyDir, Date.now())
      byRevision.set(revision ?? files.revision, parseAsWritten(files.dataText) as DataSet)
    },
    oracle(record) {
      const data = byRevision.get(String(record['policy_revision']))
      return data === undefined
        ? 'no_revision'
        : oracleAllows(data, { question: 'capability_access', input: inputOf(record) })
    },
  }
}

function inputOf(record: AuditLine): PolicyInput {
  const { verb, name } = splitCapability(parseCapability(String(record['capability'])))
  const members = {
    identity: { spiffe_id: record['requester_spiffe_id'], trust_domain: 'crank.local' },
    action: { verb, capability: name },
    context: { now_ns: record['now_ns'], origin: record['origin'], depth: record['depth'] },
  }
  return members as unknown as PolicyInput
}
