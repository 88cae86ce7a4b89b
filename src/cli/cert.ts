// `crank cert`: creates development certificates and inspects certificates.
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDevCa, ensureDevPki, writeDevSvid } from '../platform/tls/dev-pki.ts'
import type { CredentialFiles } from '../platform/tls/credentials.ts'
import { parseSvid, type Svid } from '../platform/svid/x509-svid.ts'
import { workerNames } from '../workers/registry.ts'
import { certificateName, devFiles, PKI_FOLDER, readStateConfig } from './client-config.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { paint, say, writeJson, writeLine, writeTable, type Format } from './output.ts'
import { environment } from './environment.ts'
import { formatLeft } from './time-left.ts'

type MintOptions = { stateDir?: string | undefined; trustDomain?: string | undefined; output: Format }

/** The certificate names of the controller and the bundled workers. */
export const BUNDLED_NAMES = ['controller', ...workerNames.map(certificateName)]
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

/**
 * Creates the CA if it is missing, and certificates for the controller and the bundled workers if they are missing or
 * old.
 */
export async function makeDevCa(options: MintOptions): Promise<ExitCode> {
  const { stateDir, trustDomain } = readStateConfig(options, environment())
  const pki = { dir: join(stateDir, PKI_FOLDER), trustDomain, now: Date.now }
  await ensureDevPki({ ...pki, names: BUNDLED_NAMES })
  print(
    BUNDLED_NAMES.map((name) => ({ name, ...devFiles(stateDir, name, trustDomain) })),
    options,
  )
  return EXIT.ok
}

/** Issues one certificate with that CA, and replaces an existing one. */
export async function issueCertificate(worker: string, options: MintOptions): Promise<ExitCode> {
  const name = certificateName(worker)
  if (!NAME.test(name)) {
    throw new CliError(
      EXIT.usage,
      `"${worker}" is not a certificate name: must be controller, nats or worker-<name> (a-z, 0-9, -)`,
    )
  }
  const { stateDir, trustDomain } = readStateConfig(options, environment())
  const pki = { dir: join(stateDir, PKI_FOLDER), trustDomain, now: Date.now }
  print([{ name, ...(await writeDevSvid(await ensureDevCa(pki), name, pki)) }], options)
  return EXIT.ok
}

/** Prints the content of a certificate; `negative` if it is not an X.509-SVID or not valid now. */
export async function inspectCertificate(file: string, options: { output: Format }): Promise<ExitCode> {
  const certificate = await readCertificateFile(file)
  const svid = readSvid(certificate)
  const faults = 'fault' in svid ? [svid.fault] : lifeFaults(svid, Date.now())
  const facts = {
    file,
    spiffe_id: 'fault' in svid ? null : svid.spiffeId,
    not_before: new Date(certificate.validFrom).toISOString(),
    not_after: new Date(certificate.validTo).toISOString(),
    issuer: certificate.issuer.replaceAll('\n', ', '),
    serial_number: certificate.serialNumber.toLowerCase(),
    issuer_key_id: 'fault' in svid ? null : svid.issuerKeyId,
    sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    faults,
  }
  if (options.output === 'json') writeJson(facts)
  else printFacts(facts, Date.now())
  return faults.length === 0 ? EXIT.ok : EXIT.negative
}

type NamedFiles = CredentialFiles & { readonly name: string }

function toJson({ name, certFile, keyFile, bundlePath }: NamedFiles) {
  return { name, cert: certFile, key: keyFile, bundle: bundlePath }
}

function print(files: readonly NamedFiles[], { output }: MintOptions): void {
  if (output === 'json') writeJson({ certificates: files.map(toJson) })
  else printFiles(files)
}

function printFiles(files: readonly NamedFiles[]): void {
  const columns = [
    { title: 'NAME', cell: ({ name }: NamedFiles) => name },
    { title: 'CRANK_TLS_CERT', cell: ({ certFile }: NamedFiles) => certFile },
    { title: 'CRANK_TLS_KEY', cell: ({ keyFile }: NamedFiles) => keyFile },
    { title: 'CRANK_TLS_BUNDLE', cell: ({ bundlePath }: NamedFiles) => bundlePath },
  ]
  writeTable(columns, files)
  say('For development only: the private key of the CA is in the same folder.')
}

async function readCertificateFile(file: string): Promise<X509Certificate> {
  try {
    return new X509Certificate(await readFile(file))
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `${file} cannot be read as a certificate (PEM)`, { cause })
  }
}

function readSvid(certificate: X509Certificate): Svid | { readonly fault: string } {
  try {
    return parseSvid(certificate.raw)
  } catch (cause: unknown) {
    return { fault: cause instanceof Error ? cause.message : String(cause) }
  }
}

function lifeFaults({ notBeforeMs, notAfterMs }: Svid, nowMs: number): string[] {
  if (nowMs < notBeforeMs) return ['the certificate is not valid yet: check the clock']
  return nowMs >= notAfterMs ? ['the certificate has expired'] : []
}

type Facts = Readonly<Record<string, string | null | readonly string[]>> & {
  faults: readonly string[]
  not_after: string
}

function printFacts(facts: Facts, nowMs: number): void {
  const { faults, ...rest } = facts
  for (const [name, value] of Object.entries(rest)) writeLine(`${name.padEnd(14)} ${String(value ?? '-')}`)
  const leftMs = Date.parse(facts.not_after) - nowMs
  if (leftMs > 0) writeLine(`${'left'.padEnd(14)} ${formatLeft(leftMs)}`)
  for (const fault of faults) writeLine(`${paint('red', '×')} ${fault}`)
}
