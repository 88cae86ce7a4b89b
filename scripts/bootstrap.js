// The entry of `npm run demo`, `npm test` and others: no dependencies, runs on Node 20. Installs the dependencies, then
// continues with Node 24. Prints to stderr only, so that stdout belongs to the program it starts.
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fitNode, NO_DEBUGGER, NO_NODE, runForeground } from '../bin/node-24.js'
import { packagesToInstall, showProgress } from './install-progress.js'
import { withProcessLock } from './process-lock.js'

const USAGE =
  'usage: node scripts/bootstrap.js setup|test|test:stack|test:faults|test:fleet|demo|bench|release|crank [arguments]'
const NATIVE_TOOLS = ['opa', 'regal']
const TEST_TOOLS = [...NATIVE_TOOLS, 'kustomize', 'nats-server']
// Not SPIRE: its test builds it when it runs, which takes minutes and a C compiler.
const STACK_TOOLS = ['opa', 'jaeger', 'prometheus', 'promtool']
const NPM_CI_FAILED = `npm ci failed: the dependencies could not be installed. Without a network, copy node_modules/ from a machine that has one; behind a proxy or a mirror, configure npm (npm config set proxy|registry …); then run this again.`

/**
 * Whether the dependencies in node_modules are those of package-lock.json. A stamp holds the lock file's SHA-256; a tree that
 * `npm ci` brought in by hand has none, and counts when it is not older than the lock file.
 * @param {string} root folder of the project
 */
export function areDependenciesCurrent(root) {
  const stamp = readIfThere(stampPath(root))
  if (stamp !== undefined) return stamp === lockHash(root)
  const installed = statSync(join(root, 'node_modules', '.package-lock.json'), { throwIfNoEntry: false })
  return installed !== undefined && installed.mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

/**
 * Writes the stamp that areDependenciesCurrent reads.
 * @param {string} root folder of the project
 */
export function stampDependencies(root) {
  writeFileSync(stampPath(root), lockHash(root))
}

/**
 * The program that a word of `npm run` stands for, and its arguments.
 * @param {string} what
 * @param {readonly string[]} args
 * @returns {{ tools: readonly string[], run: readonly string[] | undefined, npm?: readonly string[] } | undefined} undefined: no such word
 */
export function planFor(what, args) {
  switch (what) {
    case 'setup':
      return { tools: NATIVE_TOOLS, run: undefined }
    case 'test':
      return { tools: TEST_TOOLS, run: undefined, npm: ['run', 'check', '--loglevel=notice', '--', ...args] }
    case 'test:stack':
      return {
        tools: STACK_TOOLS,
        run: ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.stack.config.ts', ...args],
      }
    case 'test:faults':
      return { tools: ['opa'], run: ['test/faults/run.ts', ...args] }
    case 'test:fleet':
      return {
        tools: TEST_TOOLS,
        run: ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.fleet.config.ts', ...args],
      }
    case 'demo':
      return { tools: [], run: ['scripts/demo.ts', ...args] }
    case 'bench':
      return { tools: [], run: ['scripts/bench.ts', ...args] }
    case 'release':
      return { tools: [], run: ['scripts/release.ts', ...args] }
    case 'crank':
      return { tools: [], run: ['bin/crank.js', ...args] }
    default:
      return undefined
  }
}

/**
 * Set-up, then the program.
 * @param {string} root folder of the project
 * @param {readonly string[]} argv what to start and its arguments
 * @returns {Promise<number>} exit code
 */
async function bootstrap(root, [what = '', ...args]) {
  const plan = planFor(what, args)
  if (plan === undefined) return say(USAGE, 2)
  if (!(await bringDependencies(root))) return say(NPM_CI_FAILED, 1)
  const node = fitNode(join(root, 'package.json'))
  if (node === undefined) return say(NO_NODE, 2)

  const env = {
    ...process.env,
    PATH: [join(root, 'node_modules', '.bin'), dirname(node), process.env['PATH']].join(delimiter),
  }
  for (const tool of plan.tools) {
    const finder = [join(root, 'scripts/tools/native-tools.ts'), tool]
    const code = await runForeground(node, finder, { env, cwd: root, stdio: ['ignore', 2, 2] })
    if (code !== 0) return code
  }
  if (plan.npm !== undefined) return runNpm(node, plan.npm, { env, cwd: root })
  if (plan.run === undefined) return 0
  const [script = '', ...rest] = plan.run
  // Under npm the parent is npm: killing it must end everything.
  const endWithParent = process.env['npm_lifecycle_event'] !== undefined
  return runForeground(node, [NO_DEBUGGER, join(root, script), ...rest], { env, endWithParent })
}

/**
 * @param {string} root
 * @returns {Promise<boolean>} false: they could not be installed
 */
function bringDependencies(root) {
  const work = async () => {
    // Another process may have installed them while this one waited.
    if (!areDependenciesCurrent(root) && (await install(root)) !== 0) return false
    stampDependencies(root)
    return true
  }
  return withProcessLock(`setup ${root}`, { work, onWait: () => say('Waiting for another set-up in this folder …', 0) })
}

/**
 * @param {string} root
 * @returns {Promise<number>}
 */
async function install(root) {
  const packages = packagesToInstall(root)
  const many = packages.length === 0 ? '' : `: ${packages.length} packages, about 1 GB on disk, a few minutes`
  say(`Installing the dependencies (npm ci)${many} …`, 0)
  // No dependency needs an install script, so none may run. --loglevel: on Node 20 npm prints dozens of harmless EBADENGINE lines.
  const args = ['ci', '--loglevel=error', '--ignore-scripts', '--no-audit', '--no-fund']
  const endProgress = showProgress(root, packages, process.stderr)
  try {
    return await runNpm(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })
  } finally {
    endProgress()
  }
}

/**
 * npm as it started us, else the one on PATH.
 * @param {string} node
 * @param {readonly string[]} args
 * @param {Parameters<typeof runForeground>[2]} options
 */
function runNpm(node, args, options) {
  const npm = process.env['npm_execpath']
  return npm?.endsWith('.js') === true
    ? runForeground(node, [npm, ...args], options)
    : runForeground('npm', args, options)
}

/** @param {string} root */
function stampPath(root) {
  return join(root, 'node_modules', '.crank-lock')
}

/** @param {string} root */
function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * @param {string} sentence
 * @param {number} code
 */
function say(sentence, code) {
  process.stderr.write(`${sentence}\n`)
  return code
}

const self = fileURLToPath(import.meta.url)
if (realpathSync(process.argv[1] ?? '') === self) {
  process.exitCode = await bootstrap(dirname(dirname(self)), process.argv.slice(2))
}
