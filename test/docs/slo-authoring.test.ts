// The guide for SLOs: its commands work as they stand there, against files and against a controller, and its tables are the
// code's.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SloSchema } from '../../src/slo/slo-schema.ts'
import { exportedFamilies } from '../fixtures/exported-metrics.ts'
import { startMesh, type Mesh } from '../fixtures/mesh.ts'
import { guideBlocks, runCommands, type Ran } from './guide-blocks.ts'

const guide = await readFile(join(import.meta.dirname, '../../docs/slo-authoring.md'), 'utf8')

let folder: string
let mesh: Mesh | undefined
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-slo-guide-'))
})
afterAll(async () => {
  await mesh?.close()
  await rm(folder, { recursive: true, force: true })
})

async function runUnder(heading: string, env: NodeJS.ProcessEnv = {}): Promise<Ran[]> {
  const commands = guideBlocks(guide).flatMap((block) => (block.heading === heading ? block.commands : []))
  expect(commands).not.toEqual([])
  return runCommands(commands, folder, env)
}

test('the file of the guide is valid, and its fault is reported with line and member', async () => {
  const written = await runUnder('Write one')
  expect(written.at(-1)?.stderr).toBe('slos: 1 SLO, no faults\n')
  const [, checked] = await runUnder('Faults')
  expect(checked?.stdout.split('\n')).toEqual([
    'slos/wrong.yaml:3:1: window must be a duration from 1d to 90d, such as 30d',
    'slos/wrong.yaml:4:1: availability must be a share from 0.5 to below 1, such as 0.999 for 99.9 %',
    '',
  ])
})

test('a controller with that file is asked as the guide says', async () => {
  mesh = await startMesh({ env: { CRANK_SLO_DIR: join(folder, 'slos') } })
  await writeFile(join(folder, 'scrape.txt'), (await mesh.admin('/metrics')).text)
  const [report, check, saved] = await runUnder('Ask the controller', { CRANK_ADMIN_URL: mesh.adminOrigin })
  expect(report?.stdout).toMatch(/^stream:text_events +availability over 30 d +99\.5 % /m)
  expect(check?.stderr).toBe('3 objectives, all met\n')
  expect(JSON.parse(saved?.stdout ?? '')).toEqual({ ok: true, missed: [] })
})

test('the table of members is the schema', () => {
  const section = /^## Write one$(.*?)^## /ms.exec(guide)?.[1] ?? ''
  const rows = [...section.matchAll(/^\| `(\w+)` +\| (yes|no) /gm)].map(([, name, needed]) => [name, needed === 'yes'])
  expect(rows).toEqual(
    Object.keys(SloSchema.properties).map((name) => [name, SloSchema.required.includes(name as never)]),
  )
})

test('the table of metrics has every metric of the SLOs', async () => {
  const exported = (await exportedFamilies())
    .filter(({ name }) => name.startsWith('controller_slo_'))
    .map(({ name, type }) => `${name}${type === 'counter' ? '_total' : ''}`)
  const table = guide.slice(guide.indexOf('| metric '))
  const rows = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)])
  expect(rows.map(([, name]) => name).sort()).toEqual(exported.sort())
})
