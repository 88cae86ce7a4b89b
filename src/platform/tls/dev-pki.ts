// The development PKI on disk: `<trust-domain>.pem`, `<name>.crt`
// and `<name>.key`; issued when missing, renewed before expiry.
import { X509Certificate } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'
import { loadCredentials, type CredentialFiles } from './credential-set.ts'
import { createCa, isOfTrustDomain, issueSvid, parseCa, type Ca } from './dev-ca.ts'
import { withFolderLock } from '../folder-lock.ts'
import { replaceFile } from '../replace-file.ts'
import { certificateBlocks } from '../svid/pem.ts'

type DevPkiOptions = {
  readonly dir: string
  readonly trustDomain: TrustDomain
  /** `controller`, `nats`, or `worker-<name>`. */
  readonly names: readonly string[]
  readonly now: () => number
}

const CA_FILE = 'dev-ca.key'
const CA_DAYS = 365
const SVID_DAYS = 7
/** Renewed when less than this fraction of the lifetime is left. */
const RENEW_BELOW = 1 / 3

/**
 * Makes sure that every name has a certificate, a key and a bundle that fit together and do not expire soon. Keys are 0600,
 * the folder 0700. Several processes may call it at once. Returns the files of each name.
 */
export async function ensureDevPki<Name extends string>(
  options: DevPkiOptions & { readonly names: readonly Name[] },
): Promise<Record<Name, CredentialFiles>> {
  return withFolderLock(options.dir, async () => {
    const ca = await ensureCa(options)
    const files = {} as Record<Name, CredentialFiles>
    for (const name of options.names) files[name] = await ensureSvid(ca, name, options)
    return files
  })
}

/** The CA in `dir`, read or created, with its bundle beside it. */
export function ensureDevCa(options: Omit<DevPkiOptions, 'names'>): Promise<Ca> {
  return withFolderLock(options.dir, () => ensureCa(options))
}

/** Issues and writes the certificate of a name, even if there is one already. */
export function writeDevSvid(
  ca: Ca,
  name: string,
  options: Pick<DevPkiOptions, 'dir' | 'now'>,
): Promise<CredentialFiles> {
  return withFolderLock(options.dir, () => writeSvid(ca, name, options))
}

/** Names that are no worker's: each is the path of its SPIFFE ID. */
export const SERVER_NAMES: readonly string[] = ['controller', 'nats']

/** `controller` is `spiffe://<td>/controller`, `worker-x` is `spiffe://<td>/worker/x`. @throws {Error} for another name */
export function devSpiffeId(trustDomain: TrustDomain, name: string): SpiffeId {
  if (SERVER_NAMES.includes(name)) return parseSpiffeId(`spiffe://${trustDomain}/${name}`)
  const worker = /^worker-([A-Za-z0-9._-]+)$/.exec(name)?.[1]
  if (worker === undefined) {
    throw new Error(`"${name}" is not a name of the development PKI: use controller, nats, or worker-<name>`)
  }
  return parseSpiffeId(`spiffe://${trustDomain}/worker/${worker}`)
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

async function ensureSvid(ca: Ca, name: string, options: DevPkiOptions): Promise<CredentialFiles> {
  const files = devCredentialFiles(options.dir, ca.trustDomain, name)
  const expected = devSpiffeId(ca.trustDomain, name)
  return (await isUsable(files, expected, options.now)) ? files : await writeSvid(ca, name, options)
}

async function writeSvid(
  ca: Ca,
  name: string,
  { dir, now }: Pick<DevPkiOptions, 'dir' | 'now'>,
): Promise<CredentialFiles> {
  const files = devCredentialFiles(dir, ca.trustDomain, name)
  const spiffeId = devSpiffeId(ca.trustDomain, name)
  const hosts = SERVER_NAMES.includes(name) ? { dns: ['localhost'], ips: ['127.0.0.1'] } : {}
  const { certPem, keyPem } = await issueSvid({ ca, spiffeId, ...hosts, days: SVID_DAYS, now })
  await replaceFile(files.keyFile, keyPem, 0o600)
  await replaceFile(files.certFile, certPem, 0o644)
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
async function ensureCa({ dir, trustDomain, now }: Omit<DevPkiOptions, 'names'>): Promise<Ca> {
  const file = path.join(dir, CA_FILE)
  const bundle = bundleFile(dir, trustDomain)
  const known = await parseUsableCa((await readIfThere(file)) ?? '', trustDomain, now())
  const ca = known ?? (await createCa({ trustDomain, days: CA_DAYS, now }))
  if (known === undefined) await replaceFile(file, ca.keyPem + ca.certPem, 0o600)
  if ((await readIfThere(bundle)) !== ca.certPem) await replaceFile(bundle, ca.certPem, 0o644)
  return ca
}

async function parseUsableCa(text: string, trustDomain: TrustDomain, nowMs: number): Promise<Ca | undefined> {
  const [certPem] = certificateBlocks(text)
  try {
    if (certPem === undefined || !isFresh(certPem, nowMs)) return undefined
    const ca = await parseCa({ trustDomain, certPem, keyPem: text })
    return isOfTrustDomain(ca) ? ca : undefined
  } catch {
    return undefined // damaged by hand or by a full disk: created again
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}
