// What NATS lets a controller do is written in several places: each allows exactly what the code does.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { OPERATOR } from '../fixtures/nats.ts'

const ROOT = join(import.meta.dirname, '../..')
const PLACES = [
  'docs/operations/mesh.md',
  'deploy/kubernetes/components/nats/nats.conf',
  'deploy/compose/nats.conf',
  'test/fixtures/nats.ts',
]
/** Controllers read it; only operators write it. */
const READ_ONLY = 'crank-blocks'

async function bucketsOfTheCode(): Promise<string[]> {
  const files = ['src/controller/store/buckets.ts', 'src/platform/nats/shared-buckets.ts']
  const text = (await Promise.all(files.map((file) => readFile(join(ROOT, file), 'utf8')))).join('\n')
  return [...new Set([...text.matchAll(/'(crank-[a-z]+)'/g)].map(([, name = '']) => name))]
}

/** The rights of the controllers: from their user to the end of what they may subscribe to. */
function rightsOfControllers(text: string): string {
  const from = text.search(/user: "spiffe:\/\/(crank\.local|\$\{TRUST_DOMAIN\})\/controller"/)
  const length = text.slice(from).search(/subscribe/)
  expect(Math.min(from, length)).toBeGreaterThan(0)
  return text.slice(from, from + length)
}

test.each(PLACES)('%s lets controllers write every bucket but the blocks', async (file) => {
  const buckets = await bucketsOfTheCode()
  expect(buckets).toContain(READ_ONLY)
  const rights = rightsOfControllers(await readFile(join(ROOT, file), 'utf8'))
  const allowed = [...rights.matchAll(/"\$KV\.(crank-[a-z]+)\.>"/g)].map(([, name = '']) => name)
  expect(allowed.sort()).toEqual(buckets.filter((name) => name !== READ_ONLY).sort())
})

test.each([...PLACES.slice(0, 3), 'docs/operations/policy-live-change.md', 'docs/operations/certificates.md'])(
  '%s has the operator of the other places',
  async (file) => {
    const text = await readFile(join(ROOT, file), 'utf8')
    const names = [...text.matchAll(/spiffe:\/\/crank\.local\/(operator[\w/-]*)/g)].map(([, name]) => name)
    expect([...new Set(names)]).toEqual([OPERATOR])
  },
)
