// A folder of SLO files: all or none, and every fault at once.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadSloFolder, signatureOfSlos, sloPlaceOf } from '../../src/slo/slo-folder.ts'

const text = (capability: string): string => `capability: ${capability}\nowner: a\nwindow: 30d\navailability: 0.99\n`
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-slos-'))
})
afterEach(() => rm(dir, { recursive: true }))
const write = (name: string, content: string) => writeFile(join(dir, name), content)
const load = () => loadSloFolder({ dir, mayBeAbsent: false })

test('gives the SLO of every .yaml file, and ignores others', async () => {
  await write('b.yaml', text('invoke:b'))
  await write('a.yaml', text('invoke:a'))
  await write('README.md', '# not one')
  await write('.a.yaml', 'an editor at work: [')
  expect((await load()).map(({ capability }) => capability)).toEqual(['invoke:a', 'invoke:b'])
})

test('names every fault of every file, and the file that has the same capability', async () => {
  await write('a.yaml', text('invoke:a'))
  await write('b.yaml', `# the same\n${text('invoke:a')}`)
  await write('c.yaml', text('c'))
  await write('d.yml', text('invoke:d'))
  await write('e.yaml', '#'.repeat(70_000))
  await mkdir(join(dir, 'f.yaml'))
  await expect(load()).rejects.toMatchObject({
    name: 'SloFilesError',
    faults: [
      `${dir}/b.yaml:2:1: capability has an SLO in ${dir}/a.yaml already; keep one of them`,
      `${dir}/c.yaml:1:1: capability must be a capability, such as invoke:hello_world`,
      `${dir}/d.yml: is not read; rename it to d.yaml`,
      `${dir}/e.yaml: is larger than 65536 bytes; an SLO has a dozen lines`,
      `${dir}/f.yaml: cannot be read (EISDIR); check its rights`,
    ],
  })
})

test('may be absent only if nobody named it', async () => {
  const absent = join(dir, 'absent')
  expect(await loadSloFolder({ dir: absent, mayBeAbsent: true })).toEqual([])
  await expect(loadSloFolder({ dir: absent, mayBeAbsent: false })).rejects.toThrow(
    `${absent}: no such folder; set CRANK_SLO_DIR to the folder of your SLO files`,
  )
  await write('file', '')
  await expect(loadSloFolder({ dir: join(dir, 'file'), mayBeAbsent: true })).rejects.toThrow('not a folder')
  expect(sloPlaceOf(undefined)).toEqual({ dir: 'slos', mayBeAbsent: true })
  expect(sloPlaceOf('/etc/slos')).toEqual({ dir: '/etc/slos', mayBeAbsent: false })
})

test('has another signature after each change of a file', async () => {
  const place = { dir, mayBeAbsent: false }
  const seen = [await signatureOfSlos(place)]
  await write('a.yaml', text('invoke:a'))
  seen.push(await signatureOfSlos(place))
  await write('a.yaml', text('invoke:ab'))
  seen.push(await signatureOfSlos(place))
  await chmod(join(dir, 'a.yaml'), 0o600)
  expect(new Set(seen).size).toBe(3)
  await write('notes.txt', 'x')
  expect(await loadSloFolder(place)).toHaveLength(1)
})

test('ships an example that is valid', async () => {
  const slos = await loadSloFolder({ dir: join(import.meta.dirname, '../../slos'), mayBeAbsent: false })
  expect(slos.map(({ capability }) => capability)).toEqual(['invoke:hello_world'])
})
