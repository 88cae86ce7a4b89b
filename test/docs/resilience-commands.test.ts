// The commands of docs/operations/resilience.md work as they stand there: a worker is drained, gets no calls, and comes back.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { postJson, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { guideBlocks, runCommands, type Command } from './guide-blocks.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/operations/resilience.md'), 'utf8')
const [block] = guideBlocks(page)

let folder: string
let mesh: Mesh
const ending: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-resilience-'))
  mesh = await startMesh()
  const worker = await startRealWorker(mesh, mesh.origin, createHelloWorld())
  ending.push(
    () => worker.close(),
    () => mesh.close(),
    () => rm(folder, { recursive: true, force: true }),
  )
})
afterAll(async () => {
  for (const end of ending) await end()
})

const call = async (): Promise<number> => {
  const body = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }
  return (await mesh.request(STREAMING, { ...postJson('/route', body) })).status
}
const run = async (command: Command | undefined) => {
  const [ran] = await runCommands([command!], folder, {
    CRANK_ADMIN_URL: mesh.adminOrigin,
    CONTROLLER_URL: mesh.origin,
    ...(await mesh.tlsEnv(STREAMING)),
  })
  return ran!
}

test('a worker is listed, drained and taken back', async () => {
  const [list, drain, undrain] = block!.commands
  expect(await call()).toBe(200)
  expect((await run(list)).stdout).toMatch(/worker-hello-world .*live/)
  await run(drain)
  expect(await call()).toBe(503)
  expect((await run(list)).stdout).toMatch(/worker-hello-world .*draining/)
  await run(undrain)
  expect(await call()).toBe(200)
  expect(await mesh.auditedAs(({ event }) => event === 'worker_drain_changed')).toBeDefined()
})
