// The documents keep their promises: every link resolves, every script, command and file that they name is there.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'
import {
  anchorsOf,
  crankCommands,
  documents,
  npmScripts,
  parseDocument,
  relativeLinks,
  repositoryPaths,
  ROOT,
  type Document,
} from './markdown.ts'

const docs = documents()
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
const scripts = Object.keys(manifest.scripts)

/** Links of a document that lead nowhere. */
function brokenLinks(doc: Document): string[] {
  return relativeLinks(doc).filter((link) => {
    const [file = '', anchor] = link.split('#')
    const path = file === '' ? doc.path : normalize(join(dirname(doc.path), file))
    if (!existsSync(join(ROOT, path))) return true
    return anchor !== undefined && !anchorsOf(readFileSync(join(ROOT, path), 'utf8')).has(anchor)
  })
}

describe('every document', () => {
  test('is found', () => {
    const paths = docs.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', 'docs/ARCHITECTURE.md']))
  })

  for (const doc of docs) {
    test(`${doc.path} has no dead link, and names only scripts and files that exist`, () => {
      expect(brokenLinks(doc)).toEqual([])
      expect(npmScripts(doc).filter((name) => !scripts.includes(name))).toEqual([])
      expect(repositoryPaths(doc).filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    })
  }

  test('calls only commands that crank has', async () => {
    const { code, stdout } = await run(process.execPath, [join(ROOT, 'bin/crank.js'), '--help'])
    expect(code).toBe(0)
    const commands = [...stdout.matchAll(/^ {2}([a-z][a-z-]*)(?= |$)/gm)].map(([, name]) => name)
    expect(commands).toContain('controller')
    // The plan map names what later issues bring.
    const calls = docs.filter(({ path }) => path !== 'docs/plan-map.md').flatMap(crankCommands)
    expect(calls).toContain('invoke')
    expect(calls.filter((name) => !commands.includes(name))).toEqual([])
  })
})

describe('the decisions', () => {
  const dir = join(ROOT, 'docs/decisions')
  const names = readdirSync(dir).filter((name) => /^\d{4}-.*\.md$/.test(name))

  test('are all in their index, once', () => {
    const index = docs.find(({ path }) => path === 'docs/decisions/README.md')
    expect(index === undefined ? [] : relativeLinks(index)).toEqual(names)
  })

  for (const name of names) {
    test(`${name} has a title with its number, a status, and says its price`, () => {
      const text = readFileSync(join(dir, name), 'utf8')
      expect(text).toMatch(new RegExp(`^# ${name.slice(0, 4)}: `))
      expect(text).toMatch(/^Status: (Proposed|Accepted|Superseded)/m)
      expect(text).toMatch(/^## (Price|Cost)$/m)
      expect(text.split('\n').length).toBeLessThan(50)
    })
  }
})

describe('the checks', () => {
  test('find a dead link, a dead anchor, and none in code', () => {
    const text = '# A b\n[ok](#a-b) [dead](gone.md) [far](https://example.org) [anchor](#none)\n`[x](code.md)`'
    const doc = parseDocument('README.md', text)
    expect(relativeLinks(doc)).toEqual(['#a-b', 'gone.md', '#none'])
    expect(anchorsOf(text)).toEqual(new Set(['a-b']))
  })

  test('find scripts, commands and paths in code', () => {
    const text =
      'run `npm run demo -- --once`, `npm test`\n```sh\nnpm run crank -- audit tail\ncrank check\n```\n`src/a.ts`'
    const doc = parseDocument('README.md', text)
    expect(npmScripts(doc)).toEqual(['crank', 'demo', 'test'])
    expect(crankCommands(doc)).toEqual(['audit', 'check'])
    expect(repositoryPaths(doc)).toEqual(['src/a.ts'])
  })
})
