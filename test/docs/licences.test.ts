// docs/licences.md says what the installed packages say, of every package that a worker brings along; and what it says of tools.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
type Manifest = {
  readonly version: string
  readonly license: string
  readonly workspaces: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

const manifestIn = async (folder: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest

test('every package of a worker is listed, with the version and the licence that are installed', async () => {
  const page = await readFile(join(ROOT, 'docs/licences.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(\S+)` (\S+)\s+\| (.+?)\s+\| (\w+)\s+\|/gm)].map(
    ([, name = '', version, licence, worker]) => ({ name, version, licence, worker }),
  )
  const { workspaces } = await manifestIn('.')
  const wanted = []
  for (const folder of workspaces.filter((path) => path.startsWith('src/workers/'))) {
    const { dependencies = {}, devDependencies = {} } = await manifestIn(folder)
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
      const { version, license } = await manifestIn(`node_modules/${name}`)
      wanted.push({ name, version, licence: license, worker: folder.split('/').at(-1) })
    }
  }
  const byName = (a: { name: string }, b: { name: string }): number => a.name.localeCompare(b.name)
  expect(rows.sort(byName)).toEqual(wanted.sort(byName))
})

describe('no program under the AGPL is in the tool chain', () => {
  test('not among the packages of npm', async () => {
    const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { license?: string }>
    }
    const licences = Object.entries(packages).map(([path, { license = '' }]) => ({ path, license }))
    expect(licences.length).toBeGreaterThan(500)
    // A choice of MIT or GPL is MIT.
    expect(licences.filter(({ license }) => /\b(A?GPL|SSPL)/.test(license) && !/\bMIT OR\b/.test(license))).toEqual([])
  })

  test('not among the tools, nor in what they are built from', async () => {
    const tools = join(ROOT, 'scripts/tools')
    const modules = (await readdir(tools, { withFileTypes: true })).filter((entry) => entry.isDirectory())
    expect(modules.map(({ name }) => name).sort()).toEqual([
      'jaeger',
      'kustomize',
      'nats-server',
      'opa',
      'prometheus',
      'regal',
      'spire',
    ])
    for (const { name } of modules) {
      const sums = await readFile(join(tools, name, 'go.sum'), 'utf8')
      expect(sums).toMatch(/^github\.com\//m)
      expect(sums).not.toMatch(/^github\.com\/(grafana\/(loki|tempo|grafana|mimir|pyroscope)|minio\/minio)[ /]/m)
    }
  })
})
