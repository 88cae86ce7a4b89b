// The tree keeps its shape: imports point one way, no cycle, no default export, and the checks themselves find what is wrong.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findCycles, scanFolder, scanText, targetOf, type ScannedFile } from './import-scan.ts'
import { foreignPackages, groupOf, wrongImports } from './ranks.ts'

const ROOT = join(import.meta.dirname, '../..')
const files = await scanFolder(join(ROOT, 'src'))
const scripts = await scanFolder(join(ROOT, 'scripts'))
const manifest = await readManifest('.')
/** Folders of src that bring packages of their own, and which. Other workspaces are built from src: see worker-package. */
const workspaces = new Map(
  await Promise.all(
    manifest.workspaces
      .filter((folder) => folder.startsWith('src/'))
      .map(async (folder) => [folder, (await readManifest(folder)).dependencies] as const),
  ),
)

type Manifest = {
  readonly workspaces: readonly string[]
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest
}

/** The workspace of a file of src, if it is in one. */
function workspaceOf(path: string): string | undefined {
  return [...workspaces.keys()].find((folder) => `src/${path}`.startsWith(`${folder}/`))
}

describe('the source tree', () => {
  test('has files to look at, and imports in them', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(files.flatMap(({ imports }) => imports).length).toBeGreaterThan(200)
  })

  test('imports point from the request towards the words of the domain, never back', () => {
    expect(wrongImports(files)).toEqual([])
  })

  test('has no import cycle', () => {
    expect(findCycles(files)).toEqual([])
  })

  test('has no default export', () => {
    expect(files.filter(({ hasDefaultExport }) => hasDefaultExport).map(({ path }) => path)).toEqual([])
  })

  test('imports only packages that an installed copy has', () => {
    const { dependencies } = manifest
    const installed = (name: string): boolean => name.startsWith('node:') || name in dependencies
    for (const [folder, own] of [['', {}] as const, ...workspaces]) {
      const inside = files.filter(({ path }) => (workspaceOf(path) ?? '') === folder)
      expect(inside).not.toEqual([])
      expect(foreignPackages(inside, (name) => installed(name) || name in own)).toEqual([])
    }
  })

  test('loads a worker only where somebody asks for it by name: heavy packages stay out of the controller', () => {
    const eager = files.filter(({ path }) => workspaceOf(path) === undefined).flatMap(importsOfWorkspaces)
    expect(eager).toEqual([])
  })

  test('keeps the scripts free of tests: what both need is in scripts/lab', () => {
    expect(importsOfTests(scripts)).toEqual([])
  })

  test('keeps the words of the domain free of everything but schemas and random numbers', () => {
    const core = files.filter(({ path }) => groupOf(path) === 'core')
    expect(core).not.toEqual([])
    expect(foreignPackages(core, (name) => ['typebox', 'node:crypto'].includes(name))).toEqual([])
  })

  test('keeps the request path free of any framework: the pipeline, its steps, and all that they import', () => {
    const path = closureOf(
      files,
      ({ path }) => path === 'controller/pipeline.ts' || groupOf(path) === 'controller/steps',
    )
    expect(path.length).toBeGreaterThan(20)
    expect(foreignPackages(path, (name) => !name.includes('fastify'))).toEqual([])
  })

  test('reads process.env in one place of the platform and one of the command line', () => {
    const readers = files.filter(({ text }) => /\bprocess\.env\b/.test(text.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '')))
    // The template of a worker's project is text, not code that runs here.
    const paths = readers.map(({ path }) => path).filter((path) => path !== 'cli/new-worker/project.ts')
    expect(paths).toEqual(['cli/environment.ts', 'platform/env.ts'])
  })
})

/** The files that `isStart` picks, and every file that is loaded with them. */
function closureOf(all: readonly ScannedFile[], isStart: (file: ScannedFile) => boolean): ScannedFile[] {
  const byPath = new Map(all.map((file) => [file.path, file]))
  const found = new Set<ScannedFile>()
  const add = (file: ScannedFile): void => {
    if (found.has(file)) return
    found.add(file)
    for (const one of file.imports.filter(({ typeOnly, dynamic }) => !typeOnly && !dynamic)) {
      const target = byPath.get(targetOf(file, one) ?? '')
      if (target !== undefined) add(target)
    }
  }
  all.filter(isStart).forEach(add)
  return [...found]
}

/** Imports of a workspace's files that run at once; `import()` waits until it is called. */
function importsOfWorkspaces(file: ScannedFile): string[] {
  return file.imports.flatMap((one) => {
    const target = targetOf(file, one)
    const isEager = !one.typeOnly && !one.dynamic && target !== undefined && workspaceOf(target) !== undefined
    return isEager ? [`${file.path}:${one.line} imports ${target}`] : []
  })
}

/** Imports that a file of scripts/ makes from test/. */
function importsOfTests(files: readonly ScannedFile[]): string[] {
  return files.flatMap(({ path, imports }) =>
    imports.flatMap((one) => {
      const target = targetOf({ path: `scripts/${path}` }, one)
      return target?.startsWith('test/') === true ? [`scripts/${path}:${one.line} imports ${target}`] : []
    }),
  )
}

describe('the check', () => {
  const planted: readonly [what: string, path: string, text: string][] = [
    ['core that imports platform', 'core/a.ts', "import { x } from '../platform/env.ts'"],
    ['platform that imports the audit log', 'platform/a.ts', "import { x } from '../audit/chain.ts'"],
    ['policy data that imports audit', 'policy/data/a.ts', "import type { X } from '../../audit/event.ts'"],
    ['policy data that imports an engine', 'policy/data/a.ts', "import { x } from '../engine/opa-http.ts'"],
    ['a policy engine that imports audit', 'policy/engine/a.ts', "import type { X } from '../../audit/event.ts'"],
    ['a policy engine that imports a ruling', 'policy/engine/a.ts', "import type { X } from '../ruling.ts'"],
    ['policy that imports audit', 'policy/a.ts', "import type { X } from '../audit/event.ts'"],
    ['policy that imports the controller', 'policy/a.ts', "import type { X } from '../controller/call.ts'"],
    ['live policy that imports audit', 'controller/live-policy/a.ts', "import type { X } from '../../audit/event.ts'"],
    ['identity that imports routing', 'controller/identity/a.ts', "import { x } from '../routing/select.ts'"],
    ['a step that imports the pipeline', 'controller/steps/a.ts', "export { x } from '../pipeline.ts'"],
    ['the pipeline that imports a route', 'controller/pipeline.ts', "const x = await import('./routes/route.ts')"],
    ['a route that imports the server', 'controller/routes/a.ts', "type X = import('../server.ts').ServerOptions"],
    ['the server that imports main', 'controller/server.ts', "import { x } from './main.ts'"],
    ['the controller that imports the worker runtime', 'controller/main.ts', "import { x } from '../worker/sse.ts'"],
    ['the worker runtime that imports the controller', 'worker/a.ts', "import { x } from '../controller/call.ts'"],
    ['the worker runtime that imports policy', 'worker/a.ts', "import { x } from '../policy/data/blocked.ts'"],
    ['a worker that imports platform', 'workers/a.ts', "import { x } from '../platform/env.ts'"],
    ['the controller that imports a worker', 'controller/main.ts', "import { x } from '../workers/registry.ts'"],
    ['the worker runtime that imports the command line', 'worker/a.ts', "import { x } from '../cli/exit.ts'"],
    [
      'the command line that imports a room of the controller',
      'cli/a.ts',
      "import { x } from '../controller/steps/record.ts'",
    ],
    ['a file of the controller that nobody gave a rank', 'controller/new.ts', ''],
    ['a folder that nobody gave a rank', 'helpers/a.ts', ''],
  ]
  for (const [what, path, text] of planted) {
    test(`finds ${what}`, () => {
      expect(wrongImports([scanText(path, text)])).toHaveLength(1)
    })
  }

  test('names file, line and both sides', () => {
    const file = scanText('core/a.ts', "// why\nimport { x } from '../platform/env.ts'")
    expect(wrongImports([file])).toEqual(['core/a.ts:2 imports platform/env.ts: core may not import platform'])
  })

  test('finds a cycle of three, of types too', () => {
    const a = scanText('core/a.ts', "import { b } from './b.ts'")
    const b = scanText('core/b.ts', "import { c } from './c.ts'")
    const back = scanText('core/c.ts', "import { a } from './a.ts'")
    const typesBack = scanText('core/c.ts', "import type { A } from './a.ts'")
    expect(findCycles([a, b, back])).toEqual([['core/a.ts', 'core/b.ts', 'core/c.ts', 'core/a.ts']])
    expect(findCycles([a, b, typesBack])).toHaveLength(1)
    expect(findCycles([a, b])).toEqual([])
  })

  for (const text of ['export default 1', 'const x = 1\nexport { x as default }', 'export default function f() {}']) {
    test(`finds the default export in ${JSON.stringify(text)}`, () => {
      expect(scanText('core/a.ts', text).hasDefaultExport).toBe(true)
    })
  }

  test('finds a script that imports a test', () => {
    const file = scanText('bench/a.ts', "import { until } from '../../test/fixtures/until.ts'")
    expect(importsOfTests([file])).toEqual(['scripts/bench/a.ts:1 imports test/fixtures/until.ts'])
  })

  test('finds a package that only the tests have', () => {
    const file = scanText('platform/a.ts', "import { parse } from 'yaml'\nimport '@grpc/grpc-js/x'\nimport './b.ts'")
    expect(foreignPackages([file], () => false)).toEqual([
      'platform/a.ts:1 imports yaml',
      'platform/a.ts:2 imports @grpc/grpc-js',
    ])
  })
})
