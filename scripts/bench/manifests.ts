// Policy folders with more and more manifests: the shipped one, and workers that only take part by their number.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { POLICY_DIR } from './parties.ts'

const FILE = 'data/worker_manifests.json'

type Manifests = { readonly workers: Readonly<Record<string, unknown>> }

/** Copies the shipped policies to `dir`, with as many manifests; at least those that are shipped. */
export async function copyWithManifests(dir: string, count: number): Promise<void> {
  await cp(POLICY_DIR, dir, { recursive: true })
  const { workers } = JSON.parse(await readFile(join(dir, FILE), 'utf8')) as Manifests
  const more = Array.from({ length: Math.max(0, count - Object.keys(workers).length) }, (_, n): [string, object] => [
    `spiffe://crank.local/worker/number-${n}`,
    {
      worker_id: `worker-number-${n}`,
      required_capabilities: ['invoke:hello_world', `provide:thing_${n}`],
      provided_capabilities: [`provide:thing_${n}`],
      owner: 'bench',
      deployed_at: '2026-11-24T00:00:00Z',
    },
  ])
  await writeFile(join(dir, FILE), JSON.stringify({ workers: { ...workers, ...Object.fromEntries(more) } }))
}
