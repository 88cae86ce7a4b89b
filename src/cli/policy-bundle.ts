// `crank policy build` and `crank policy verify-bundle`: the policy folder as a signed OPA bundle.
import { resolve } from 'node:path'
import { BundleError, buildBundle, verifyBundle } from '../policy/engine/bundle.ts'
import { findOpa, OPA_VERSION, PolicyCompileError } from '../policy/engine/compile.ts'
import { PolicyFilesError } from '../policy/data/policy-files.ts'
import { CliError, EXIT, usageFailure, type ExitCode } from './exit.ts'
import { policyDirOf } from './places.ts'
import { say, writeJson, writeLine, type Format } from './output.ts'
import { environment } from './environment.ts'

type BuildOptions = {
  policy?: string | undefined
  out: string
  revision?: string | undefined
  signingKey?: string | undefined
  output: Format
}

/** Writes the bundle. @throws {CliError} `usage` when the folder, the key or OPA cannot be used */
export async function buildPolicyBundle(options: BuildOptions): Promise<ExitCode> {
  const { out, revision, signingKey, output } = options
  const dir = resolve(policyDirOf(options))
  const opa = await needOpa()
  const built = await buildBundle({ dir, out, revision, signingKey, opa, now: Date.now }).catch(explained)
  if (output === 'json') writeJson(built)
  else writeLine(`${built.file}: revision ${built.revision}, roots ${built.roots.join(', ')}`)
  if (built.algorithm === null)
    say('not signed: anyone who can write to its server can change the policy; sign it with --signing-key')
  else if (output !== 'json') writeLine(`signed, ${built.algorithm}: OPA needs keys.<id>.algorithm: ${built.algorithm}`)
  return EXIT.ok
}

type VerifyOptions = { verificationKey: string; output: Format }

/** `negative` when the signature is invalid. @throws {CliError} when the key or OPA cannot be used */
export async function verifyPolicyBundle(file: string, { verificationKey, output }: VerifyOptions): Promise<ExitCode> {
  const opa = await needOpa()
  const fault = await verifyBundle({ file, verificationKey, opa }).catch(explained)
  if (output === 'json')
    writeJson({ file, valid: fault === undefined, ...(fault === undefined ? {} : { reason: fault }) })
  else if (fault === undefined) writeLine(`${file}: the signature is valid`)
  else say(`${file}: ${fault}`)
  return fault === undefined ? EXIT.ok : EXIT.negative
}

async function needOpa(): Promise<string> {
  const opa = await findOpa(environment()).catch(explained)
  if (opa !== undefined) return opa
  const hint = `install OPA ${OPA_VERSION} and set OPA_BIN to its path`
  throw new CliError(EXIT.usage, `OPA ${OPA_VERSION} was not found`, { hint })
}

const FILE_FAULTS = ['ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR']

/** Faults in the user's input become sentences; faults of the program stay unchanged. */
function explained(cause: unknown): never {
  const isUsers = [PolicyFilesError, PolicyCompileError, BundleError].some((kind) => cause instanceof kind)
  const { code } = cause as NodeJS.ErrnoException
  const isPlain = cause instanceof Error && cause.name === 'Error' && (code === undefined || FILE_FAULTS.includes(code))
  if (isUsers || isPlain) throw usageFailure('the bundle cannot be built or read', cause)
  throw cause
}
