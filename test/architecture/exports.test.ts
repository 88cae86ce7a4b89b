// Every export of src has a user beside its own file and the tests, or a reason: what nobody uses is deleted, not kept.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { scanExports, type SourceText } from './export-scan.ts'

const ROOT = join(import.meta.dirname, '../..')
const USERS = ['src', 'scripts', 'bin', 'packages', 'test']

/** The doors of packages/worker: their users are in other repositories. */
const DOORS = ['src/spiffe/index.ts', 'src/worker/index.ts', 'src/worker/testing/test-controller.ts']

/** What only tests use, by the reason to export it all the same: `file name`. */
const EXPORTED_FOR_TESTS: Readonly<Record<string, readonly string[]>> = {
  'a limit or list that its test steps through or over': [
    'audit/serialise.ts MAX_TEXT',
    'cli/cert.ts BUNDLED_NAMES',
    'cli/commands/controller.ts CONTROLLER_SETTINGS',
    'cli/commands/worker.ts WORKER_SETTINGS',
    'cli/replay/memo-scan.ts KNOWN_COMMON',
    'cli/replay/tally.ts OTHER_REVISIONS',
    'controller/routes/bodies-in-flight.ts MAX_BODIES',
    'controller/routing/registry.ts MAX_INSTANCES_PER_IDENTITY',
    'platform/process-guard.ts ENDING_SIGNALS',
    'platform/process-guard.ts IGNORED_SIGNALS',
    'platform/setting-names.ts SETTING_NAMES',
    'workers/image_classifier/faces.ts MAX_FACES',
    'workers/image_classifier/scenes.ts SCENES',
    'workers/zettel/front-matter.ts MAX_FRONT_MATTER',
    'workers/zettel/wiki-links.ts MAX_LINKS',
  ],
  'a pure part with more cases than its caller can be brought to': [
    'cli/check.ts gatherFindings',
    'cli/exception/json-edit.ts placesIn',
    'cli/policy-ask/source.ts parseDataReply',
    'cli/replay/memo-scan.ts hashOf',
    'cli/replay/progress.ts progressLine',
    'policy/data/exact-json.ts exactInteger',
    'policy/engine/compile.ts compilePolicy',
    'workers/image_classifier/boxes.ts toPicture',
    'workers/philosophical_analyzer/lexicon.ts parseLexicon',
    'workers/zettel/names.ts slugOf',
  ],
  'the command line itself, whose help and names are checked': ['cli.ts createProgram'],
  'the number of tensors alive: nothing else shows a leak of the library': [
    'workers/image_classifier/models.ts tensorsHeld',
  ],
  'an error that callers know by its message only': [
    'policy/data/enforcement.ts EnforcementError',
    'policy/engine/compile.ts StalePolicyError',
  ],
  'the type of what an exported function takes or gives; a test holds such a value': [
    'cli/replay/memo-scan.ts RegoSource',
    'controller/audit/durable-file.ts FileCalls',
    'controller/audit/group-commit.ts GroupCommitOptions',
    'controller/candidate/candidate.ts CandidateLimits',
    'controller/dispatch/worker-exchange.ts ExchangeLimits',
    'controller/exceptions/metrics-exceptions.ts ExceptionState',
    'controller/live-policy/live-policy.ts LivePolicyOptions',
    'controller/main.ts RunningController',
    'controller/pipeline.ts Steps',
    'controller/readiness.ts ReadinessSources',
    'controller/steps/forward.ts ForwardDeps',
    'platform/thread/pool.ts ThreadPool',
    'platform/turns.ts Turns',
    'platform/turns.ts TurnsOptions',
    'policy/engine/bundle.ts BuiltBundle',
    'worker/run.ts RunOptions',
    'worker/testing/fake-controller.ts FakeController',
    'workers/document_conversion/threads.ts ConversionThreadsOptions',
    'workers/image_classifier/decode.ts SharpModule',
    'workers/image_classifier/model-thread.ts ModelThreadOptions',
  ],
}
const LISTED = Object.values(EXPORTED_FOR_TESTS).flat()

async function readFiles(): Promise<SourceText[]> {
  const paths = await Promise.all(
    USERS.map(async (folder) => {
      const entries = await readdir(join(ROOT, folder), { recursive: true }).catch(() => [])
      return entries.map((entry) => `${folder}/${entry}`)
    }),
  )
  const sources = paths
    .flat()
    .filter((path) => /\.(ts|js|mjs)$/.test(path) && !/(^|\/)(node_modules|dist)\//.test(path))
  return Promise.all(sources.sort().map(async (path) => ({ path, text: await readFile(join(ROOT, path), 'utf8') })))
}

const files = await readFiles()
const { unused, tested } = scanExports(files.filter(isLookedAt), files, isTest)

function isLookedAt({ path }: SourceText): boolean {
  return path.startsWith('src/') && !DOORS.includes(path)
}

function isTest(path: string): boolean {
  return path.startsWith('test/')
}

function entryOf({ path, name }: { readonly path: string; readonly name: string }): string {
  return `${path.replace(/^src\//, '')} ${name}`
}

describe('an export of src', () => {
  test('has a user outside of its own file', () => {
    expect(unused.map(({ path, name, line }) => `${path}:${line} exports ${name}, which no file imports`)).toEqual([])
  })

  test('that only tests use has a reason in the table', () => {
    const unlisted = tested.filter((one) => !LISTED.includes(entryOf(one)))
    expect(unlisted.map(({ path, name, line }) => `${path}:${line} exports ${name} for tests only`)).toEqual([])
  })

  test('is in the table only while no other file uses it', () => {
    const entries = new Set(tested.map(entryOf))
    expect(LISTED.filter((entry) => !entries.has(entry))).toEqual([])
  })
})

describe('the scan', () => {
  const OWN: SourceText = {
    path: 'src/a.ts',
    text: 'export const x = 1\nexport type T = typeof x\nexport function f() {}',
  }
  const scan = (...users: SourceText[]) => {
    const found = scanExports([OWN], [OWN, ...users], isTest)
    return { unused: found.unused.map(({ name }) => name), tested: found.tested.map(({ name }) => name) }
  }

  test('finds what no file imports, with its line', () => {
    expect(scan()).toEqual({ unused: ['x', 'T', 'f'], tested: [] })
    expect(scanExports([OWN], [OWN], isTest).unused.map(({ line }) => line)).toEqual([1, 2, 3])
  })

  const ways: Readonly<Record<string, string>> = {
    'an import': "import { x, type T as U } from './a.ts'\nimport { f } from './a.ts'",
    'an import of everything': "import * as a from './a.ts'",
    'a re-export': "export { x, f } from './a.ts'\nexport type { T } from './a.ts'",
    'an import type': "type A = import('./a.ts').T\nimport { x, f } from './a.ts'",
    'import() with its names': "const { x, T } = await import('./a.ts')\n;(await import('./a.ts')).f()",
    'import() of who knows what': "const a = await import('./a.ts')",
  }
  for (const [what, text] of Object.entries(ways)) {
    test(`knows ${what}`, () => {
      expect(scan({ path: 'src/b.ts', text })).toEqual({ unused: [], tested: [] })
    })
  }

  test('reports what only tests use', () => {
    const user = { path: 'test/a.test.ts', text: "import { x, f } from '../src/a.ts'" }
    expect(scan(user, { path: 'src/b.ts', text: "import { f } from './a.ts'" })).toEqual({
      unused: ['T'],
      tested: ['x'],
    })
  })
})
