// The watch over the folder, by a clock that the test moves: changes, faults, and half-written files.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { watchSloFolder } from '../../../src/controller/slo/slo-watch.ts'
import { signatureOfSlos } from '../../../src/slo/slo-folder.ts'
import { until } from '../../fixtures/until.ts'

const GOOD = 'capability: invoke:a\nowner: a\nwindow: 30d\navailability: 0.99\n'
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-slos-'))
  await writeFile(join(dir, 'a.yaml'), GOOD)
})
afterEach(async () => {
  for (const one of [dir, `${dir}-away`]) await rm(one, { recursive: true, force: true })
})

async function watch({ mayBeAbsent = false } = {}) {
  const place = { dir, mayBeAbsent }
  const told: string[] = []
  const watching = watchSloFolder({
    place,
    seen: await signatureOfSlos(place),
    onChange: (slos) => void told.push(`slos ${slos.map(({ capability }) => capability).join(' ')}`),
    onFault: (message) => void told.push(`fault ${message.replace(dir, '')}`),
    onFixed: () => void told.push('fixed'),
  })
  const saw = (event: string) => until(event, () => Promise.resolve(told.at(-1) === event))
  return { told, saw, watching, [Symbol.dispose]: watching.close }
}

test('brings a change into force, and reports a fault once until it is fixed', async () => {
  using followed = await watch()
  const { told, saw, watching } = followed
  await writeFile(join(dir, 'b.yaml'), GOOD.replace('invoke:a', 'invoke:b'))
  await saw('slos invoke:a invoke:b')
  await writeFile(join(dir, 'b.yaml'), 'capability: [')
  await saw(
    'fault /b.yaml:1:14: is not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  )
  expect(watching.fault()).toContain('b.yaml:1:14')
  await writeFile(join(dir, 'b.yaml'), GOOD.replace('invoke:a', 'invoke:c'))
  await saw('fixed')
  expect(told.at(-2)).toBe('slos invoke:a invoke:c')
  expect(watching.fault()).toBeUndefined()
  expect(told).toHaveLength(4)
})

test('says that the folder is gone, and that it is back, even if nothing in it has changed', async () => {
  using followed = await watch()
  const { saw, watching } = followed
  await rename(dir, `${dir}-away`)
  await until('the fault is seen', () => Promise.resolve(watching.fault()?.includes('no such folder') === true))
  await rename(`${dir}-away`, dir)
  await saw('fixed')
})

test('may find no folder at first; once there was one, it has to stay', async () => {
  await rename(dir, `${dir}-away`)
  using followed = await watch({ mayBeAbsent: true })
  const { told, saw, watching } = followed
  await rename(`${dir}-away`, dir)
  await saw('slos invoke:a')
  await rename(dir, `${dir}-away`)
  await until('the fault is seen', () => Promise.resolve(watching.fault()?.includes('no such folder') === true))
  expect(told).toHaveLength(2)
})
