// The policy folder and its engine, with the same checks as at the controller's start.
import { parseOpaUrl } from '../../policy/engine/opa-target.ts'
import { describeFault } from '../../policy/data/data-schema.ts'
import { openEngine } from '../../policy/engine/engines.ts'
import { loadPolicyFiles, PolicyFilesError, type PolicyFiles } from '../../policy/data/policy-files.ts'
import { createSelfCheck } from '../../policy/engine/self-check.ts'
import { faultLines, messageOf } from '../exit.ts'
import { fail, ok, warn, type Finding } from './finding.ts'
import { environment } from '../environment.ts'

type PolicySettings = {
  readonly policyDir: string
  readonly opaUrl: string | undefined
  readonly timeoutMs: number
}

const FOLDER_HINT = 'the folder of the Rego sources is set by CRANK_POLICY_DIR'
const FILES_HINT = 'fix the file: a running controller keeps the last good policy, but does not start with this one'
const BUILD_HINT = 'policy.wasm must be built from the Rego beside it: npm run build:policy'
const COMPILED_HINT = 'OPA compiles the Rego at every start; without OPA the controller would not start'

/** `revision`: of the folder, undefined when it cannot be read. */
export async function checkPolicy(
  settings: PolicySettings,
  now: () => number,
): Promise<{ findings: Finding[]; revision: string | undefined }> {
  try {
    const files = await loadPolicyFiles(settings.policyDir, now())
    const data = files.dataFaults.map((fault) =>
      warn('policy data', describeFault(fault), 'the entry has no effect: fix or remove it'),
    )
    return { findings: [...data, await checkEngine(settings, files, now)], revision: files.revision }
  } catch (cause: unknown) {
    const hint = cause instanceof PolicyFilesError ? FILES_HINT : FOLDER_HINT
    return { findings: faultLines(cause).map((line) => fail('policy', line, hint)), revision: undefined }
  }
}

async function checkEngine(settings: PolicySettings, files: PolicyFiles, now: () => number): Promise<Finding> {
  const { opaUrl, timeoutMs } = settings
  const hint = opaUrl === undefined ? BUILD_HINT : `OPA_URL=${opaUrl}: is OPA running there, with this policy loaded?`
  try {
    let compiled: string | undefined
    const onCompile = (reason: string): void => void (compiled = reason)
    const opa = opaUrl === undefined ? undefined : parseOpaUrl(opaUrl)
    const host = openEngine({ opa, timeoutMs, env: environment(), now, onCompile })
    try {
      const { engine } = await host.begin(files)
      const fault = await createSelfCheck({ engine, files, now })()
      if (fault === undefined && compiled !== undefined) return warn('policy', compiled, COMPILED_HINT)
      if (fault === undefined) return ok('policy', `${engine.name} decides, revision ${files.revision}`)
      return fail('policy', [fault.reason, fault.detail].filter((part) => part !== undefined).join(': '), hint)
    } finally {
      await host.close()
    }
  } catch (cause: unknown) {
    return fail('policy', messageOf(cause), hint)
  }
}
