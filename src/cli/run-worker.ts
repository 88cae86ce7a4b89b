// `crank worker <name>`: starts one of the bundled workers.
import { join } from 'node:path'
import { ensureDevPki } from '../platform/tls/dev-pki.ts'
import { startWorkerProcess } from '../worker/main.ts'
import { workerNames, workerNamed } from '../workers/registry.ts'
import { certificateName, devFiles, PKI_FOLDER, readStateConfig } from './client-config.ts'
import { CliError, EXIT } from './exit.ts'
import { startFailure } from './start-failure.ts'

/** Values of options by their variable; undefined: not given. */
type Flags = Record<string, string | undefined>

/**
 * Resolves when the worker listens. `dev`: with the development certificate of its name.
 * @throws {CliError} or {ConfigError} when it cannot start
 */
export async function runNamedWorker(name: string, { flags, dev }: { flags: Flags; dev: boolean }): Promise<void> {
  const worker = workerNamed(name.replaceAll('-', '_'))
  if (worker === undefined) {
    throw new CliError(EXIT.usage, `there is no worker "${name}": must be one of ${workerNames.join(', ')}`)
  }
  const all = dev ? { ...flags, ...(await developmentFiles(name, flags)) } : flags
  await startWorkerProcess(worker, { env: process.env, flags: all }).catch((cause: unknown) => {
    throw startFailure(`the worker ${name}`, cause)
  })
}

async function developmentFiles(worker: string, flags: Flags): Promise<Flags> {
  const given = ['CRANK_TLS_CERT', 'CRANK_TLS_KEY', 'CRANK_TLS_BUNDLE'].find((name) => flags[name] !== undefined)
  if (given !== undefined) throw new CliError(EXIT.usage, '--dev brings its own certificate: leave out --tls-*')
  const options = { stateDir: flags['CRANK_STATE_DIR'], trustDomain: flags['CRANK_TRUST_DOMAIN'] }
  const { stateDir, trustDomain } = readStateConfig(options, process.env)
  const name = certificateName(worker)
  await ensureDevPki({ dir: join(stateDir, PKI_FOLDER), trustDomain, names: [name], now: Date.now })
  const { certFile, keyFile, bundlePath } = devFiles(stateDir, name, trustDomain)
  return { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath }
}
