// `crank worker <name or file>`: starts a bundled worker, or the worker that a file defines.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDevPki } from '../platform/tls/dev-pki.ts'
import { startWorkerProcess, type MakeWorker } from '../worker/main.ts'
import type { WorkerDefinition } from '../worker/define.ts'
import { workerNames, workerNamed } from '../workers/registry.ts'
import { certificateName, devFiles, PKI_FOLDER, readStateConfig } from './client-config.ts'
import { CliError, EXIT } from './exit.ts'
import { startFailure } from './start-failure.ts'
import { isWorkerFile, loadWorkerFile } from './worker-file.ts'
import { environment } from './environment.ts'

/** Option values by variable; undefined: not given. */
type Flags = Record<string, string | undefined>
/** `dev`: with its development certificate. `wanted`: name of the definition in the file. */
type Options = { readonly flags: Flags; readonly dev: boolean; readonly wanted?: string | undefined }

/** `certificate`: name of its development certificate. */
type Found = {
  readonly worker: WorkerDefinition | MakeWorker
  readonly start: typeof startWorkerProcess
  readonly certificate: string
}

/**
 * Resolves when the worker listens.
 * @throws {CliError} or {ConfigError} when it cannot start
 */
export async function runNamedWorker(name: string, { flags, dev, wanted }: Options): Promise<void> {
  const { worker, start, certificate } = isWorkerFile(name) ? await fromFile(name, wanted) : bundled(name, wanted)
  const all = dev ? { ...flags, ...(await developmentFiles(certificate, flags)) } : flags
  await start(worker, { env: environment(), flags: all }).catch((cause: unknown) => {
    throw startFailure(`the worker ${name}`, cause)
  })
}

async function fromFile(path: string, wanted: string | undefined): Promise<Found> {
  const { definition, start } = await loadWorkerFile(path, wanted)
  return { worker: definition, start, certificate: definition.id }
}

function bundled(name: string, wanted: string | undefined): Found {
  const worker = workerNamed(name.replaceAll('-', '_'))
  if (worker === undefined) {
    const file = [`${name}.ts`, `${name}.js`, `${name}.mjs`].find((path) => existsSync(path)) ?? 'my.ts'
    throw new CliError(EXIT.usage, `no bundled worker "${name}": must be one of ${workerNames.join(', ')}`, {
      hint: `to run your own worker from its file: crank worker ./${file}`,
    })
  }
  if (wanted !== undefined) throw new CliError(EXIT.usage, '--export is for the file of a worker, such as ./my.ts')
  return { worker, start: startWorkerProcess, certificate: name }
}

async function developmentFiles(worker: string, flags: Flags): Promise<Flags> {
  const given = ['CRANK_TLS_CERT', 'CRANK_TLS_KEY', 'CRANK_TLS_BUNDLE'].find((name) => flags[name] !== undefined)
  if (given !== undefined) throw new CliError(EXIT.usage, '--dev uses the development certificate: leave out --tls-*')
  const options = { stateDir: flags['CRANK_STATE_DIR'], trustDomain: flags['CRANK_TRUST_DOMAIN'] }
  const { stateDir, trustDomain } = readStateConfig(options, environment())
  const name = certificateName(worker)
  await ensureDevPki({ dir: join(stateDir, PKI_FOLDER), trustDomain, names: [name], now: Date.now })
  const { certFile, keyFile, bundlePath } = devFiles(stateDir, name, trustDomain)
  return { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath }
}
