// Policy folders with more and more manifests: the shipped one, and workers that only take part by their number or as callers.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { POLICY_DIR } from './parties.ts'

const FILE = 'data/worker_manifests.json'

type Manifest = {
  readonly worker_id: string
  readonly required_capabilities: readonly string[]
  readonly provided_capabilities: readonly string[]
  readonly owner: string
  readonly deployed_at: string
}
type Workers = Readonly<Record<string, Manifest>>

/** Copies the shipped policies to `dir`, with as many manifests; at least those that are shipped. */
export function copyWithManifests(dir: string, count: number): Promise<void> {
  return copyChanged(dir, (workers) => {
    const missing = Math.max(0, count - Object.keys(workers).length)
    const more = Array.from({ length: missing }, (_, n): [string, Manifest] => {
      const provided = [`provide:thing_${n}`]
      return entryOf(`worker-number-${n}`, ['invoke:hello_world', ...provided], provided)
    })
    return { ...workers, ...Object.fromEntries(more) }
  })
}

type Named = { readonly verb: string; readonly name: string }

/** Copies the shipped policies to `dir`, with callers that may use all of the capabilities, and one worker that provides them. */
export function copyWithCallers(
  dir: string,
  callers: readonly string[],
  capabilities: readonly Named[],
): Promise<void> {
  const names = capabilities.map(({ verb, name }) => `${verb}:${name}`)
  return copyChanged(dir, (workers) => ({
    ...workers,
    ...Object.fromEntries([
      entryOf('worker-hello-world', names, names),
      ...callers.map((caller) => entryOf(caller, names, [])),
    ]),
  }))
}

async function copyChanged(dir: string, change: (workers: Workers) => Workers): Promise<void> {
  await cp(POLICY_DIR, dir, { recursive: true })
  const { workers } = JSON.parse(await readFile(join(dir, FILE), 'utf8')) as { workers: Workers }
  await writeFile(join(dir, FILE), JSON.stringify({ workers: change(workers) }))
}

function entryOf(
  workerId: string,
  required: readonly string[],
  provided: readonly string[],
): [spiffeId: string, manifest: Manifest] {
  return [
    spiffeIdOf(workerId),
    {
      worker_id: workerId,
      required_capabilities: required,
      provided_capabilities: provided,
      owner: 'bench',
      deployed_at: '2026-11-24T00:00:00Z',
    },
  ]
}

function spiffeIdOf(workerId: string): string {
  return `spiffe://crank.local/worker/${workerId.replace(/^worker-/, '')}`
}
