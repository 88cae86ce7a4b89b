// The development PKI on disk: `<trust-domain>.pem`, `<name>.crt` and `<name>.key`; minted when missing, anew before they end.
import { randomUUID, X509Certificate } from 'node:crypto'
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../core/spiffe-id.ts'
import { loadCredentials, type CredentialFiles } from './credential-set.ts'
import { createCa, issueSvid, parseCa, type Ca } from './dev-ca.ts'
import { certificateBlocks } from './pem.ts'

export { createCa, issueSvid, type Ca, type IssuedSvid, type IssueRequest } from './dev-ca.ts'

export type DevPkiOptions = {
  readonly dir: string
  readonly trustDomain: TrustDomain
  /** `controller`, or `worker-<name>`. */
  readonly names: readonly string[]
  readonly now: () => number
}

const CA_FILE = 'dev-ca.key'
const CA_DAYS = 365
const SVID_DAYS = 7
/** Minted anew when less than this part of the life is left. */
const RENEW_BELOW = 1 / 3
const ATTEMPTS = 3

/**
 * Makes sure that every name has a certificate, a key and a bundle that fit together and last. Keys are 0600, the folder
 * 0700. Safe to run twice at once. Returns the files of each name.
 */
export async function ensureDevPki<Name extends string>(
  options: DevPkiOptions & { readonly names: readonly Name[] },
): Promise<Record<Name, CredentialFiles>> {
  const files = {} as Record<Name, CredentialFiles>
  for (const name of options.names) files[name] = await ensureSvid(name, options)
  return files
}

/** The CA in `dir`, read or made, with its bundle beside it. */
export async function ensureDevCa({ dir, trustDomain, now }: Omit<DevPkiOptions, 'names'>): Promise<Ca> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const ca = (await readCa(dir, trustDomain, now)) ?? (await makeCa(dir, trustDomain, now))
  const bundle = bundleFile(dir, trustDomain)
  if ((await readIfThere(bundle)) !== ca.certPem) await replaceFile(bundle, ca.certPem, 0o644)
  return ca
}

/** Issues the certificate of a name now, whether or not there is one, and writes it. */
export async function writeDevSvid(
  ca: Ca,
  name: string,
  { dir, now }: Pick<DevPkiOptions, 'dir' | 'now'>,
): Promise<CredentialFiles> {
  const files = devCredentialFiles(dir, ca.trustDomain, name)
  const hosts = name === 'controller' ? { dns: ['localhost'], ips: ['127.0.0.1'] } : {}
  const { certPem, keyPem } = await issueSvid({
    ca,
    spiffeId: devSpiffeId(ca.trustDomain, name),
    ...hosts,
    days: SVID_DAYS,
    now,
  })
  await replaceFile(files.keyFile, keyPem, 0o600)
  await replaceFile(files.certFile, certPem, 0o644)
  return files
}

/** `controller` is `spiffe://<td>/controller`, `worker-x` is `spiffe://<td>/worker/x`. @throws {Error} for another name */
export function devSpiffeId(trustDomain: TrustDomain, name: string): SpiffeId {
  const worker = /^worker-([A-Za-z0-9._-]+)$/.exec(name)?.[1]
  if (name !== 'controller' && worker === undefined) {
    throw new Error(`"${name}" is not a name of the development PKI: use controller, or worker-<name>`)
  }
  return parseSpiffeId(`spiffe://${trustDomain}/${worker === undefined ? 'controller' : `worker/${worker}`}`)
}

/** Where the files of a name are. */
export function devCredentialFiles(dir: string, trustDomain: TrustDomain, name: string): CredentialFiles {
  return {
    certFile: path.join(dir, `${name}.crt`),
    keyFile: path.join(dir, `${name}.key`),
    bundlePath: bundleFile(dir, trustDomain),
    trustDomain,
  }
}

function bundleFile(dir: string, trustDomain: TrustDomain): string {
  return path.join(dir, `${trustDomain}.pem`)
}

/** Two processes may write the same name at once and mix their files: then the pair does not load, and is minted again. */
async function ensureSvid(name: string, options: DevPkiOptions): Promise<CredentialFiles> {
  const { dir, trustDomain, now } = options
  const files = devCredentialFiles(dir, trustDomain, name)
  const expected = devSpiffeId(trustDomain, name)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const ca = await ensureDevCa(options)
    if (await isUsable(files, expected, now)) return files
    await writeDevSvid(ca, name, options)
  }
  await loadCredentials(files, now) // says what is wrong
  return files
}

async function isUsable(files: CredentialFiles, expected: SpiffeId, now: () => number): Promise<boolean> {
  try {
    const { certPem, spiffeId } = await loadCredentials(files, now)
    await chmod(files.keyFile, 0o600)
    return spiffeId === expected && isFresh(certPem, now())
  } catch {
    return false
  }
}

function isFresh(certPem: string, nowMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certPem)
  const lifeMs = validToDate.getTime() - validFromDate.getTime()
  return validToDate.getTime() - nowMs > lifeMs * RENEW_BELOW
}

/** Key and certificate of the CA are one file, so that they can never belong to different CAs. */
async function readCa(dir: string, trustDomain: TrustDomain, now: () => number): Promise<Ca | undefined> {
  const file = path.join(dir, CA_FILE)
  const text = await readIfThere(file)
  const certPem = certificateBlocks(text ?? '')[0]
  if (text === undefined) return undefined
  try {
    if (certPem === undefined) throw new Error('no certificate')
    const ca = await parseCa({ trustDomain, certPem, keyPem: text })
    if (isFresh(certPem, now()) && ca.certificate.subject === caSubject(trustDomain)) return ca
  } catch {
    // broken by hand or by a full disk: made anew below
  }
  await rm(file, { force: true })
  return undefined
}

async function makeCa(dir: string, trustDomain: TrustDomain, now: () => number): Promise<Ca> {
  const ca = await createCa({ trustDomain, days: CA_DAYS, now })
  const file = path.join(dir, CA_FILE)
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, ca.keyPem + ca.certPem, { mode: 0o600 })
  try {
    await link(draft, file) // fails when another process was first: then its CA is ours too
    return ca
  } catch (cause: unknown) {
    const other = await readCa(dir, trustDomain, now)
    if (other === undefined) throw new Error(`${file}: cannot be written; check the folder's permissions`, { cause })
    return other
  } finally {
    await rm(draft, { force: true })
  }
}

function caSubject(trustDomain: TrustDomain): string {
  return `CN=${trustDomain} development CA`
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

/** In one step: a reader sees the old file or the new one. */
async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, text, { mode })
  await rename(draft, file)
}
