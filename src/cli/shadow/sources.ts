// The evidence for commands: the audit logs and a policy folder. The policy itself decides whether an earlier denial
// still stands; it is never computed here.
import { resolve } from 'node:path'
import { policyInput } from '../../policy/judge.ts'
import { createOfflineEngine, type OfflineEngine } from '../../policy/engine/evaluate-files.ts'
import { splitCapability, type Capability } from '../../core/capability.ts'
import { uuidv7 } from '../../core/ids.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { auditLogsOf, unreadable } from '../audit-config.ts'
import { CliError, EXIT } from '../exit.ts'
import { policyDirOf } from '../places.ts'
import { say } from '../output.ts'
import { tallyCalls, type Tally } from './tally.ts'

export type EvidenceOptions = {
  auditFile?: string | undefined
  auditDir?: string | undefined
  stateDir?: string | undefined
  policy?: string | undefined
}

/** `file`: the name of the logs. */
export type Evidence = {
  readonly file: string
  readonly tally: Tally
  readonly policyDir: string
  readonly policy: OfflineEngine
}

/** Reads both. @throws {CliError} `usage` when one of them cannot be read */
export async function readEvidence(options: EvidenceOptions, sinceMs: number, now: () => number): Promise<Evidence> {
  const { env } = process
  const policyDir = resolve(policyDirOf(options, env))
  const onCompile = (reason: string): void => {
    say(`${reason}: compiled again`)
  }
  const policy = await createOfflineEngine(policyDir, { env, now, onCompile }).catch((cause: unknown) => {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new CliError(EXIT.usage, message, { cause, hint: 'give the policy folder: --policy <dir>' })
  })
  const { chains, name } = auditLogsOf(options, env)
  const tally = await tallyCalls(chains, sinceMs).catch((cause: unknown) => {
    throw unreadable(name, cause)
  })
  return { file: name, tally, policyDir, policy }
}

/** Whether the policy of the folder denies the call now. */
export async function isDeniedNow(
  { policy }: Evidence,
  spiffeId: SpiffeId,
  capability: Capability,
  nowMs: number,
): Promise<boolean> {
  const action = { ...splitCapability(capability), priority: 'normal' } as const
  const input = policyInput({ caller: spiffeId, decisionId: uuidv7(nowMs) }, action, nowMs)
  const { decision } = await policy.decide('capability_access', input)
  return decision === 'deny'
}
