// docs/licences.md says what the installed packages say, of every package that a worker brings along.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

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
  for (const folder of workspaces) {
    const { dependencies = {}, devDependencies = {} } = await manifestIn(folder)
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
      const { version, license } = await manifestIn(`node_modules/${name}`)
      wanted.push({ name, version, licence: license, worker: folder.split('/').at(-1) })
    }
  }
  const byName = (a: { name: string }, b: { name: string }): number => a.name.localeCompare(b.name)
  expect(rows.sort(byName)).toEqual(wanted.sort(byName))
})
