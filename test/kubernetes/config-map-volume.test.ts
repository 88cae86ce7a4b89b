// The policy of the pods, as the kubelet brings it into their volume, changed in place: the embedded engine follows it, and so
// does a real OPA with the arguments of the sidecar.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { freePort } from '../../scripts/lab/free-port.ts'
import type { OpaTarget } from '../../src/policy/engine/opa-target.ts'
import { blockedJson, observePolicy, type Observed } from '../fixtures/live-policy.ts'
import { until } from '../fixtures/until.ts'
import { filesOf, writeVolume, type Files } from './config-map-volume.ts'
import { build, KUBERNETES_DIR } from './kustomize.ts'
import { container, workload, type KubeObject } from './objects.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
/** On a loaded machine OPA needs more than a second to take over what is on disk; that is no fault here. */
const PATIENT = { faultMs: 60_000 }

let objects: KubeObject[]
let original: Files
let root: string
let dir: string
const cleanUps: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  objects = await build(join(KUBERNETES_DIR, 'overlays/mesh'))
  const volume = workload('controller', objects).spec.template.spec.volumes?.find(({ name }) => name === 'policies')
  if (volume === undefined) throw new Error('there is no volume policies')
  original = filesOf(volume, objects)
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'config-map-'))
  dir = join(root, 'policies')
  await mkdir(dir)
  await writeVolume(dir, original)
})
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  await rm(root, { recursive: true, force: true })
})

/** OPA as the sidecar starts it, but for its addresses and the place of the volume. */
async function startSidecar(): Promise<OpaTarget> {
  const socket = join(root, 'opa.sock')
  const diagnostic = `127.0.0.1:${await freePort()}`
  const args = (container('opa', workload('controller', objects)).args ?? []).map((word) =>
    word
      .replace('/run/opa/opa.sock', socket)
      .replace('0.0.0.0:8282', diagnostic)
      .replace(/(^|:)\/policies\//, `$1${dir}/`),
  )
  const child = spawn(await findTool('opa'), args, { stdio: 'ignore', env: {} })
  cleanUps.push(async () => {
    const ended = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGKILL')) await ended
  })
  const path = container('opa', workload('controller', objects)).startupProbe?.httpGet?.path ?? ''
  const isUp = (): Promise<boolean> =>
    fetch(`http://${diagnostic}${path}`).then(
      ({ ok }) => ok,
      () => false,
    )
  await until('OPA passes its startup probe', isUp)
  return { kind: 'unix', path: socket }
}

const engines: Readonly<Record<string, () => Promise<OpaTarget | undefined>>> = {
  'the embedded engine': () => Promise.resolve(undefined),
  'the OPA sidecar': startSidecar,
}

describe.each(Object.entries(engines))('with %s', (_name, start) => {
  async function observe(): Promise<Observed> {
    const live = await observePolicy({ policyDir: dir, opa: await start(), limits: PATIENT })
    cleanUps.push(() => live[Symbol.asyncDispose]())
    return live
  }
  const decisionOf = async (live: Observed): Promise<string> =>
    (await live.decide(STREAMING, 'invoke:hello_world')).decision

  test('a volume that is swapped is in force, and again when it is swapped back', async () => {
    const live = await observe()
    expect(await decisionOf(live)).toBe('allow')
    await writeVolume(dir, new Map([...original, ['data/blocked.json', Buffer.from(blockedJson(STREAMING))]]))
    await until('it is blocked', async () => (await decisionOf(live)) === 'deny')
    await until('the change is recorded', () => live.changes.length === 1)
    await writeVolume(dir, original)
    await until('it is allowed again', async () => (await decisionOf(live)) === 'allow')
    await until('the way back is recorded, too', () => live.changes.length === 2)
    expect(live.changes[0]?.changed).toMatchObject({ files: ['data/blocked.json'], blocked_identities: { added: 1 } })
    expect([live.faults, live.policy.ready()]).toEqual([[], { ok: true }])
  })
})

test('limits.json and privacy.json are in the volume once they are in the ConfigMap', () => {
  const more = { 'limits.json': '{}', 'privacy.json': '{}' }
  const changed = objects.map((object) =>
    object.metadata.name === 'policy-data' ? { ...object, data: { ...object.data, ...more } } : object,
  )
  const volume = workload('controller', objects).spec.template.spec.volumes?.find(({ name }) => name === 'policies')
  const added = [...filesOf(volume ?? { name: '' }, changed).keys()].filter((path) => !original.has(path))
  expect(added).toEqual(['data/limits.json', 'data/privacy.json'])
})

test('a key that the pod needs and the ConfigMap has not keeps the pod from starting', () => {
  const without = objects.map((object) =>
    object.metadata.name === 'policy-data' ? { ...object, data: { 'enforcement.json': '{}' } } : object,
  )
  const volume = workload('controller', objects).spec.template.spec.volumes?.find(({ name }) => name === 'policies')
  expect(() => filesOf(volume ?? { name: '' }, without)).toThrow('the pod would not start: no worker_manifests.json')
})
