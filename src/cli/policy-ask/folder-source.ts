// A policy folder that answers questions as a controller with it would.
import { withBrake } from '../../policy/brake.ts'
import { createOfflineEngine } from '../../policy/engine/evaluate-files.ts'
import { createAsk } from '../../policy/ask.ts'
import { createOwnKnowledge } from '../../policy/ruling.ts'
import { usageFailure } from '../exit.ts'
import { say } from '../output.ts'
import { parseKnowledge, type PolicySource } from './knowledge.ts'

/** @throws {CliError} `usage` for an unusable folder */
export async function openFolder(policyDir: string, env: NodeJS.ProcessEnv): Promise<PolicySource> {
  const now = Date.now
  const onCompile = (reason: string): void => {
    say(`${reason}: compiled again`)
  }
  const { name, decide, files } = await createOfflineEngine(policyDir, { env, now, onCompile }).catch(
    (cause: unknown) => {
      throw usageFailure('--policy cannot be used', cause)
    },
  )
  const { revision, dataText } = files
  return {
    ask: createAsk({
      // As in a controller with this folder: its block list is checked before the policy.
      policy: {
        decide: withBrake({ blocked: () => files.blocked, revision: () => revision }, decide),
        engine: name,
        isRemote: false,
        revision: () => revision,
      },
      own: createOwnKnowledge(() => files),
      monotonic: performance.now.bind(performance),
      now,
    }),
    knowledge: () => parseKnowledge({ policyDir, revision, dataText }),
  }
}
