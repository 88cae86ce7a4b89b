// The tarball as an operator gets it: unpacked in an empty folder, `npm ci --omit=dev`, then a controller and a worker that
// answers a call.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { run } from '../tools/run.ts'
import { npm } from './npm.ts'

/** The packages of the workers with heavy ones are left out, as in the image by default. */
const INSTALL = [
  'ci',
  '--omit=dev',
  '--omit=optional',
  '--workspaces=false',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
]
const LIMIT_MS = 60_000
const SIGNING_KEY = '.crank/audit.key'
const EXCEPTION = ['exception', 'grant', '--who=streaming', '--cap=convert:document_to_pdf', '--for=1h']
EXCEPTION.push('--reason=the check of a release', '--owner=release')
/** The answer is kept under its key: test/e2e/released-state.test.ts asks for it again. */
const CALL = [
  'invoke',
  'invoke',
  'hello_world',
  '--data={"message":"release"}',
  '--as=streaming',
  '--idempotency-key=release',
]

/** `about`: what `crank version` says, JSON. */
type Installed = { readonly root: string; readonly version: string; readonly about: string }
type Started = { readonly child: ChildProcess; readonly entry: Record<string, unknown> }

/**
 * The folder has the state of a controller that has worked and was stopped; it is removed with `stack`.
 * @throws {Error} when the product of this commit does not run from the tarball alone
 */
export async function checkInstalled(tarball: string, commit: string, stack: AsyncDisposableStack): Promise<Installed> {
  const root = await mkdtemp(join(tmpdir(), 'crank-installed-'))
  stack.defer(() => rm(root, { recursive: true, force: true }))
  await mustRun('tar', ['-xzf', tarball, '-C', root, '--strip-components=1'], root)
  await npm([...INSTALL, '--prefer-offline'], root)
  const about = await crank(root, ['version', '-o', 'json'])
  const { version, commit: named } = JSON.parse(about) as { version: string; commit: string }
  if (named !== commit) throw new Error(`the tarball says that it is of commit ${named}, not ${commit}`)
  await crank(root, ['cert', 'dev-ca'])
  await crank(root, EXCEPTION)
  await writeFile(join(root, '.crank/audit.pub'), await crank(root, ['audit', 'key', `--out=${SIGNING_KEY}`]))
  await using processes = new AsyncDisposableStack()
  const args = ['controller', ...tls('controller'), `--audit-signing-key=${SIGNING_KEY}`]
  const controller = await start(root, args, 'controller_ready')
  processes.defer(() => stop(controller.child, 'SIGTERM'))
  const url = `https://127.0.0.1:${String(controller.entry['port'])}`
  const worker = await start(root, ['worker', 'hello_world', '--dev', '--controller-url', url], 'worker_registered')
  // Not in order: then it would deregister, and the registry on disk would be empty.
  processes.defer(() => stop(worker.child, 'SIGKILL'))
  const answer = await crank(root, [...CALL, '--controller-url', url])
  if (!answer.includes('release')) throw new Error(`the worker answered ${answer}`)
  return { root, version, about }
}

function tls(name: string): string[] {
  const files = [`--tls-cert=.crank/pki/${name}.crt`, `--tls-key=.crank/pki/${name}.key`]
  return [...files, '--tls-bundle=.crank/pki/crank.local.pem', '--port=0', '--admin-port=0', '--lame-duck-ms=0']
}

/** Starts a process; resolves with its log line of this event. */
async function start(root: string, args: string[], event: string): Promise<Started> {
  const child = spawn(process.execPath, ['bin/crank.js', ...args], {
    cwd: root,
    env: ENV,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout, signal: AbortSignal.timeout(LIMIT_MS) })
  for await (const line of lines) {
    const entry = JSON.parse(line) as Record<string, unknown>
    if (entry['event'] !== event) continue
    child.stdout.resume()
    return { child, entry }
  }
  child.kill('SIGKILL')
  throw new Error(`crank ${args.join(' ')} did not report ${event}`)
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

const ENV = { PATH: [dirname(process.execPath), process.env['PATH']].join(':'), HOME: process.env['HOME'] }

function crank(root: string, args: string[]): Promise<string> {
  return mustRun(process.execPath, ['bin/crank.js', ...args], root)
}

async function mustRun(file: string, args: string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, { cwd, env: ENV, timeoutMs: LIMIT_MS })
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${String(code)}: ${stdout}${stderr}`)
  return stdout
}
