// npm run release: dist/release/ with the tarball of the product, its SBOM, checksums and a provenance statement, of one commit.
// The tarball is then installed in an empty folder and run.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkInstalled } from './release/check-installed.ts'
import { keepState } from './release/keep-state.ts'
import { makeRelease } from './release/make-release.ts'
import { run } from './tools/run.ts'

const USAGE = `usage: npm run release -- [options]
  --out <dir>           where it goes (default dist/release)
  --builder <uri>       who builds, for the provenance statement (default urn:crank:builder:local)
  --signing-key <file>  PEM of a private key (Ed25519 or ECDSA): signs the provenance statement; without it, it is unsigned
  --no-check            do not install and run the tarball, which needs the npm registry or its cache`
const ROOT = join(import.meta.dirname, '..')

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(ROOT, 'dist/release') },
    builder: { type: 'string', default: 'urn:crank:builder:local' },
    'signing-key': { type: 'string' },
    'no-check': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) process.stdout.write(`${USAGE}\n`)
else await release()

async function release(): Promise<void> {
  const changed = await git('status', '--porcelain')
  if (changed !== '') {
    throw new Error(
      `the working tree differs from its commit, which the statement would name; commit or stash:\n${changed}`,
    )
  }
  const commit = await git('rev-parse', 'HEAD')
  const sourceDateEpoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? (await git('show', '-s', '--format=%ct', 'HEAD')))
  const repository = await git('config', '--default', '', '--get', 'remote.origin.url')
  const keyFile = values['signing-key']
  await rm(values.out, { recursive: true, force: true })
  await mkdir(values.out, { recursive: true })
  const source = { root: ROOT, commit, repository, sourceDateEpoch }
  const { files, tarball } = await makeRelease(source, {
    out: values.out,
    builder: values.builder,
    signingKey: keyFile === undefined ? undefined : await readFile(keyFile, 'utf8'),
  })
  for (const file of files) process.stdout.write(`${file}\n`)
  if (values['no-check']) return
  await using stack = new AsyncDisposableStack()
  const { root: installed, version, about } = await checkInstalled(tarball, commit, stack)
  const state = join(values.out, 'released-state', version)
  await keepState(installed, state, about)
  process.stdout.write(
    `${state}: what this release leaves on disk; put it in test/fixtures/released in place of the older one\n`,
  )
}

async function git(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('git', args, { cwd: ROOT })
  if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`)
  return stdout.trim()
}
