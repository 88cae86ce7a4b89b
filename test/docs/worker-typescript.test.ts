// The guide for workers in TypeScript, followed to the letter on a copy of the checkout: package, project, registration, call.
// What it installs is also the proof of what the package brings along, and leaves out.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageOf, scanText } from '../architecture/import-scan.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { until } from '../fixtures/until.ts'
import { guideBlocks, runCommands, type Block, type Ran } from './guide-blocks.ts'
import { ROOT } from './markdown.ts'

const COPIED = ['bin', 'packages', 'policies', 'src', '.npmrc', 'package.json', 'tsconfig.json']
/** On a busy machine a first attempt may fail, and the next comes later. */
const REGISTERED_LIMIT_MS = 60_000
const PATH = [dirname(process.execPath), process.env['PATH']].join(delimiter)
/** What npm needs to find its cache, or the registry. */
const NPM_ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(HOME|npm_config_(cache|registry)|.*_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  ),
)
const INSTALL_QUIETLY = { npm_config_prefer_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' }

const guide = await readFile(join(ROOT, 'docs/worker-typescript.md'), 'utf8')
const blocks = guideBlocks(guide)
const codeOf = (info: string): string => new RegExp(`^\`\`\`${info}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(guide)?.[1] ?? ''

let root: string
let checkout: string
let project: string
let controller: ControllerProcess | undefined
let worker: Running | undefined

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crank-guide-'))
  checkout = join(root, 'crank')
  project = join(root, 'greeting-cards')
  for (const path of COPIED) {
    // What somebody has built there is not what is tested.
    const filter = (source: string): boolean => source !== join(ROOT, 'packages/worker/dist')
    await cp(join(ROOT, path), join(checkout, path), { recursive: true, filter })
  }
  await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
})
afterAll(async () => {
  if (worker !== undefined) await end(worker.child)
  await controller?.stop('SIGTERM')
  await rm(root, { recursive: true, force: true })
})

/** The blocks of the step with this number. */
function step(number: number): Block[] {
  return blocks.filter(({ heading }) => heading.startsWith(`${number}. `))
}

/** Runs a block in the folder that its mark names. */
async function follow(block: Block | undefined): Promise<Ran[]> {
  const folder = { 'in crank': checkout, 'beside crank': root, 'in greeting-cards': project }[block?.mark ?? '']
  if (block === undefined || folder === undefined) throw new Error(`the guide has no such block: ${block?.mark ?? ''}`)
  // `npm run crank` is set-up, then `crank`; the set-up is done.
  const commands = block.commands.map((one) => ({ ...one, text: one.text.replace(/^npm run crank -- /, 'crank ') }))
  return runCommands(commands, folder, { ...NPM_ENV, ...INSTALL_QUIETLY, CONTROLLER_URL: controller?.origin })
}

const inPki = (name: string): string => join(checkout, '.crank/pki', name)

describe('the guide', () => {
  test('1: a controller runs', async () => {
    const [block] = step(1)
    expect([block?.mark, block?.commands]).toEqual(['in crank, running', [{ text: 'npm run demo', exit: 0 }]])
    // The controller of the demo, without its workers and on free ports.
    await runCommands([{ text: 'crank cert issue controller', exit: 0 }], checkout, {})
    controller = await startControllerProcess({
      CRANK_POLICY_DIR: join(checkout, 'policies'),
      CRANK_STATE_DIR: join(checkout, '.crank'),
      CRANK_TLS_CERT: inPki('controller.crt'),
      CRANK_TLS_KEY: inPki('controller.key'),
      CRANK_TLS_BUNDLE: inPki('crank.local.pem'),
    })
  })

  test('2: the package is made', async () => {
    await follow(step(2)[0])
    expect(await readdir(root)).toContain('crank-worker-0.1.0.tgz')
  })

  test('3: the project is made; installed, its types are right and its tests pass', async () => {
    const [made, install] = step(3)
    await follow(made)
    expect(await readFile(join(project, 'src/worker.ts'), 'utf8')).toBe(codeOf('ts'))
    await writeFile(join(project, 'src/types.ts'), TYPES)
    await writeFile(join(project, 'test/guide.test.ts'), codeOf('ts test'))
    const ran = await follow(install).catch((cause: unknown) => {
      throw new Error("npm install and npm test in a new project: needs the npm registry, or npm's cache", { cause })
    })
    const tests = ran.at(-1)?.stdout ?? ''
    expect(tests).toMatch(/pass 4\b/)
    expect(tests).toMatch(/fail 0\b/)
  })

  test('4: the worker has a certificate and a manifest', async () => {
    const [certificate, manifest] = step(4)
    await follow(certificate)
    await follow(manifest)
    const isChanged = (): boolean => controller?.log.some(({ event }) => event === 'policy_changed') === true
    await until('the controller has the manifest', isChanged)
  })

  test('5: the worker registers, and a call goes through', async () => {
    const [settings, start, call] = step(5)
    await follow(settings)
    expect([start?.mark, start?.commands.length]).toEqual(['in greeting-cards, running', 1])
    worker = startInProject(start?.commands[0]?.text ?? '')
    await registered(worker)
    const [called] = await follow(call)
    expect(JSON.parse(called?.stdout ?? '')).toEqual({ text: 'hello' })
  })

  test('every block was followed', () => {
    const numbered = blocks.filter(({ heading }) => /^\d\. /.test(heading))
    expect(numbered).toEqual(blocks)
    expect(blocks).toHaveLength(9)
  })
})

describe('the installed package', () => {
  test('asks for the packages that its files import, and for no others', async () => {
    const folder = join(project, 'node_modules/@crank/worker')
    const { dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
    const paths = await readdir(join(folder, 'dist'), { recursive: true })
    const found = new Set<string>()
    for (const path of paths.filter((name) => /\.(js|d\.ts)$/.test(name))) {
      for (const name of packagesIn(await readFile(join(folder, 'dist', path), 'utf8'))) found.add(name)
    }
    expect([...found].sort()).toEqual(Object.keys(dependencies).sort())
    const { dependencies: own } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest
    expect(dependencies).toEqual(Object.fromEntries(Object.keys(dependencies).map((name) => [name, own[name]])))
  })

  test('leaves out what only the controller and the command line need, and what is for one kind of machine', async () => {
    const lock = await readFile(join(project, 'node_modules/.package-lock.json'), 'utf8')
    const { packages } = JSON.parse(lock) as { packages: Record<string, { cpu?: unknown }> }
    const names = Object.keys(packages).map((path) => path.split('node_modules/').at(-1) ?? '')
    expect(names).toEqual(expect.arrayContaining(['@crank/worker', 'fastify', 'typebox']))
    const unwanted =
      /^(@open-policy-agent|@fastify\/(otel|swagger|type)|prom-client|@prometheus|commander|@commander|node-)/
    expect(names.filter((name) => unwanted.test(name))).toEqual([])
    expect(Object.entries(packages).filter(([, { cpu }]) => cpu !== undefined)).toEqual([])
  })

  test('has the version of the repository, and its licence', async () => {
    const read = async (path: string): Promise<Manifest> => JSON.parse(await readFile(path, 'utf8')) as Manifest
    const { version, license } = await read(join(ROOT, 'package.json'))
    expect(await read(join(project, 'node_modules/@crank/worker/package.json'))).toMatchObject({ version, license })
    expect(guide).toContain(`crank-worker-${version}.tgz`)
  })

  test('is what `crank worker <file>` runs a definition with that comes from it', async () => {
    const running = startInProject(`'${process.execPath}' '${ROOT}/bin/crank.js' worker ./src/worker.ts --port 0`)
    await registered(running)
    await end(running.child)
  })
})

type Running = { readonly child: ChildProcess; readonly out: () => string }
type Manifest = {
  readonly version: string
  readonly license: string
  readonly dependencies: Readonly<Record<string, string>>
}

/** Fails to compile where a type of the package is missing, and so `any`. */
const TYPES = `import { defineCapability, Type, type HandlerContext } from '@crank/worker'
import { startTestController } from '@crank/worker/testing'

const Text = Type.Object({ text: Type.String() })
defineCapability({
  verb: 'a',
  name: 'b',
  version: '1.0.0',
  input: Text,
  output: Text,
  // @ts-expect-error the output has no such member
  handler: ({ input }) => ({ other: input.text }),
})
export async function wrong(context: HandlerContext<{ text: string }>): Promise<void> {
  // @ts-expect-error the input has no such member
  context.input.nothing
  // @ts-expect-error a logger has no such level
  context.log.shout('x')
  // @ts-expect-error a span has no such method
  context.span.stop()
  // @ts-expect-error there is no such option
  await startTestController({ nothing: 1 })
}
`

function packagesIn(text: string): string[] {
  const required = [...text.matchAll(/\brequire\('([^'.][^']*)'\)/g)].map(([, specifier = '']) => ({ specifier }))
  const all = [...scanText('a.ts', text).imports, ...required]
  return all
    .flatMap((one) => packageOf({ line: 0, typeOnly: false, dynamic: false, ...one }) ?? [])
    .filter((name) => !name.startsWith('node:'))
}

/** Starts a command in the project, in a process group of its own. */
function startInProject(command: string): Running {
  const env = { PATH, ...NPM_ENV, CONTROLLER_URL: controller?.origin, ...certificate() }
  const child = spawn('/bin/sh', ['-c', command], {
    cwd: project,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  return { child, out: () => out }
}

async function registered({ child, out }: Running): Promise<void> {
  const isReady = (): boolean => {
    if (child.exitCode !== null) throw new Error(`the worker ended with ${child.exitCode}: ${out()}`)
    return out().includes('"worker_ready"')
  }
  await until('the worker is registered', isReady, REGISTERED_LIMIT_MS)
}

/** What .env says, for commands that do not read it. */
function certificate(): NodeJS.ProcessEnv {
  const [cert, key] = ['crt', 'key'].map((ending) => inPki(`worker-greeting-cards.${ending}`))
  return { CRANK_TLS_CERT: cert, CRANK_TLS_KEY: key, CRANK_TLS_BUNDLE: inPki('crank.local.pem') }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return
  const ended = once(child, 'exit')
  process.kill(-child.pid, 'SIGTERM')
  await ended
}
