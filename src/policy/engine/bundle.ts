// The policy folder as an OPA bundle: one archive with a revision and a signature, built by `opa build`. The API
// authorisation (system_authz.rego) is left out: OPA loads it from its command line, so that no bundle can open the API.
import { createPrivateKey, createPublicKey, randomUUID, type KeyObject } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { quoted } from '../../core/printable.ts'
import { run } from '../../platform/run-program.ts'
import { compileRego } from './compile.ts'
import { membersAsText } from '../data/raw-json.ts'
import { loadPolicyFiles } from '../data/policy-files.ts'
import { policySourceHash } from '../data/source-hash.ts'

/** `signingKey`: path of a private key, PEM: RSA, or EC on P-256, P-384 or P-521. */
type BundleOptions = {
  readonly dir: string
  readonly out: string
  /** Default: the policy revision of the folder. */
  readonly revision?: string | undefined
  readonly signingKey?: string | undefined
  readonly opa: string
  readonly now: () => number
}

/** `algorithm`: what `keys.<id>.algorithm` must be in OPA's configuration; null for an unsigned bundle. */
export type BuiltBundle = {
  readonly file: string
  readonly revision: string
  readonly roots: readonly string[]
  readonly algorithm: string | null
}

/** A key that OPA cannot use, an invalid revision, or an error of OPA itself. */
export class BundleError extends Error {
  override readonly name = 'BundleError'
}

/** A revision is used in audit records and metric labels: one word. */
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._+:-]{0,127}$/
const DOCUMENT = /^[A-Za-z0-9_-]{1,64}$/
const BUILD_LIMIT_MS = 60_000
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/**
 * Checks the folder as a controller would, builds the bundle, and writes it to `out` atomically.
 * @throws {PolicyFilesError | PolicyCompileError | BundleError}
 */
export async function buildBundle(options: BundleOptions): Promise<BuiltBundle> {
  const { dir, opa, signingKey } = options
  const files = await loadPolicyFiles(dir, options.now())
  const revision = options.revision ?? files.revision
  if (!REVISION.test(revision)) throw new BundleError(`revision "${revision}": must be letters, digits and ._+:- only`)
  const algorithm = signingKey === undefined ? null : await algorithmOf(signingKey)
  const sources = await policySourceHash(dir)
  // Every OPA would refuse a bundle whose entry points do not compile.
  await compileRego(dir, sources.files, opa)
  const documents = membersAsText(files.dataText)
  const roots = ['crank', ...documents.map(([name]) => name)]
  return withWorkFolder(async (work) => {
    const stage = join(work, 'bundle')
    await mkdir(stage)
    for (const name of sources.files) await copyFile(join(dir, name), join(stage, name))
    for (const [name, text] of documents) await writeDocument(stage, name, text)
    await writeFile(join(stage, '.manifest'), JSON.stringify({ revision, roots }))
    const built = join(work, 'bundle.tar.gz')
    const signing = algorithm === null ? [] : ['--signing-key', resolve(signingKey ?? ''), '--signing-alg', algorithm]
    const fault = await opaBuild(opa, ['-b', '.', '-o', built, ...signing], stage)
    if (fault !== undefined) throw new BundleError(`opa build failed: ${fault}`)
    await put(built, resolve(options.out))
    return { file: options.out, revision, roots, algorithm }
  })
}

/** Checks the signature of a bundle with a public key, PEM. Resolves to OPA's message when the signature is invalid. */
export async function verifyBundle(options: {
  readonly file: string
  readonly verificationKey: string
  readonly opa: string
}): Promise<string | undefined> {
  const key = resolve(options.verificationKey)
  const algorithm = await algorithmOf(key, createPublicKey)
  return withWorkFolder((work) => {
    const verification = ['--verification-key', key, '--signing-alg', algorithm]
    return opaBuild(options.opa, ['-b', resolve(options.file), ...verification, '-o', join(work, 'x.tar.gz')], work)
  })
}

/** Runs `opa build`; resolves to its output if it fails. */
async function opaBuild(opa: string, args: readonly string[], cwd: string): Promise<string | undefined> {
  const { code, stdout, stderr } = await run(opa, ['build', ...args], { cwd, timeoutMs: BUILD_LIMIT_MS })
  return code === 0 ? undefined : (stdout + stderr).trim()
}

async function writeDocument(stage: string, name: string, text: string): Promise<void> {
  // The name becomes a folder and a root: OPA takes the path of a data.json as its place in `data`.
  if (!DOCUMENT.test(name))
    throw new BundleError(`the member ${quoted(name)} of the data: its name cannot be the name of a folder`)
  await mkdir(join(stage, name))
  await writeFile(join(stage, name, 'data.json'), text)
}

async function algorithmOf(file: string, parse: (pem: string) => KeyObject = createPrivateKey): Promise<string> {
  const pem = await readFile(file, 'utf8')
  const key = parsedKey(() => parse(pem), file)
  const curve = key.asymmetricKeyDetails?.namedCurve ?? ''
  const algorithm = key.asymmetricKeyType === 'rsa' ? 'RS256' : CURVES[curve]
  if (algorithm !== undefined) return algorithm
  throw new BundleError(`${file}: OPA supports RSA keys, and EC keys on P-256, P-384 and P-521`)
}

function parsedKey(parse: () => KeyObject, file: string): KeyObject {
  try {
    return parse()
  } catch (cause: unknown) {
    throw new BundleError(`${file}: must be a PEM key without a passphrase`, { cause })
  }
}

/** Atomic: a server of `target` never sees half of it. */
async function put(built: string, target: string): Promise<void> {
  const beside = `${target}.${randomUUID()}.tmp`
  try {
    await copyFile(built, beside)
    await rename(beside, target)
  } finally {
    await rm(beside, { force: true })
  }
}

async function withWorkFolder<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'crank-bundle-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
