// The examples of every --help, run as they are written: in a checkout, with the demo's mesh beside them.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Command } from '@commander-js/extra-typings'
import { startMesh, type Mesh } from '../../scripts/demo/mesh.ts'
import { openRecord } from '../../src/audit/chain.ts'
import { verifierKey } from '../../src/audit/signed-note.ts'
import { createProgram } from '../../src/cli.ts'
import { withControllerClient } from '../../src/cli/controller-client.ts'
import { createTestCa } from '../fixtures/pki/ca.ts'
import { until } from '../fixtures/until.ts'
import { startFakeWorkloadApi, type FakeWorkloadApi } from '../fixtures/workload-api/fake-workload-api.ts'
import { responseFor } from '../fixtures/workload-api/svids.ts'
import { checkpointOf, newKey } from './proven-log.ts'
import { startNats, type NatsCluster } from '../../scripts/lab/nats-server.ts'
import { connectTo, makeStream } from '../fixtures/audit-stream.ts'

const REPOSITORY = join(import.meta.dirname, '../..')
const COPIED = ['bin', 'policies', 'slos', 'src', 'package.json', 'tsconfig.json', 'test/workers/registry.test.ts']
/** Stand-ins for ids that only a real call has. */
const DECISION = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/
const TRACE = /\b[\da-f]{32}\b/
/** Those that end with 1 because the answer is no: that is what they ask for. */
const ANSWERS_NO = new Set([
  'crank audit verify --checkpoint kept/checkpoint --public-key audit.pub',
  'crank can-i streaming convert document_to_pdf',
  'crank audit search --outcome timeout --worker worker-streaming -o json',
])
const MY_WORKER = `import { createHelloWorld } from './src/workers/hello_world.ts'
export const worker = createHelloWorld()
`
/** Those that run until they are stopped, and what they say when they are at work. */
const STAY: readonly (readonly [start: string, says: string])[] = [
  ['crank controller', '"controller_ready"'],
  ['crank worker hello_world', '"worker_ready"'],
  ['crank worker streaming', '"worker_ready"'],
  ['crank worker ./my.ts', '"worker_ready"'],
  ['crank audit tail -f', 'deny'],
]

const examples = [...new Set(helpOf(await createProgram()).flatMap(examplesIn))]
const stays = (line: string): boolean => STAY.some(([start]) => line.startsWith(start))

let checkout = ''
let mesh: Mesh
let workloadApi: FakeWorkloadApi
let nats: NatsCluster
let ids = { decision: '', trace: '' }
beforeAll(async () => {
  const noStop = new AbortController().signal
  mesh = await startMesh({ once: true, json: true, opa: false, trace: false, all: false, port: 0 }, noStop)
  const served = await responseFor(await createTestCa('crank.local'), 'spiffe://crank.local/worker/streaming')
  workloadApi = await startFakeWorkloadApi({ served })
  checkout = await mkdtemp(join(tmpdir(), 'crank-examples-'))
  for (const path of COPIED) await cp(join(REPOSITORY, path), join(checkout, path), { recursive: true })
  nats = await startNats({ dir: join(checkout, 'nats') })
  const nc = await connectTo(nats)
  await makeStream(nc)
  await nc.close()
  await symlink(join(REPOSITORY, 'node_modules'), join(checkout, 'node_modules'))
  await cp(join(mesh.stateDir), join(checkout, '.crank'), { recursive: true })
  await mkdir(join(checkout, 'path'))
  const crank = join(checkout, 'path/crank')
  await writeFile(crank, `#!/bin/sh\nexec '${process.execPath}' '${join(checkout, 'bin/crank.js')}' "$@"\n`)
  await chmod(crank, 0o755)
  await writeFile(join(checkout, 'request.json'), '{"content":"one two three"}')
  await writeFile(join(checkout, 'story.txt'), 'Once upon a time.')
  await writeFile(join(checkout, 'my.ts'), MY_WORKER)
  await writeFile(join(checkout, 'scrape.txt'), await (await fetch(`${mesh.admin.url}/metrics`)).text())
  await writeFile(join(checkout, 'pseudonyms.key'), 'at least sixteen bytes')
  const pem = { type: 'pkcs8', format: 'pem' } as const
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(join(checkout, 'bundle.key'), privateKey.export(pem))
  await writeFile(join(checkout, 'bundle.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  const log = join(checkout, '.crank/audit/0/1.jsonl')
  ids = await withControllerClient(mesh.caller, Date.now, async (client) => {
    const answer = await client.route({ verb: 'convert', capability: 'document_to_pdf' })
    await text(answer.body)
    return { decision: answer.decisionId ?? '', trace: answer.traceId ?? '' }
  })
  // Nobody signs the checkpoints of the mesh: their verification answers no.
  await cp(join(mesh.auditLog, 'checkpoint'), join(checkout, 'kept/checkpoint'))
  const made = spawnSync(process.execPath, [
    join(checkout, 'bin/crank.js'),
    'audit',
    'key',
    '--out',
    join(checkout, 'kept/audit.key'),
  ])
  await writeFile(join(checkout, 'audit.pub'), made.stdout)
  for (const name of [log, join(checkout, 'audit.jsonl')]) await cp(join(mesh.auditLog, '1.jsonl'), name)
  await keepCheckpoint(log)
}, 120_000)
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await workloadApi[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
  await rm(checkout, { recursive: true, force: true })
})

/** A checkpoint of this log, signed and kept elsewhere, in place of the mesh's own, which no key has signed. */
async function keepCheckpoint(log: string): Promise<void> {
  const last = openRecord((await readFile(log, 'latin1')).trimEnd().split('\n').at(-1) ?? '')
  if (typeof last === 'string') throw new Error(`the log of the mesh does not end with a record: ${last}`)
  const key = newKey()
  for (const own of ['checkpoint', 'checkpoints']) await rm(join(dirname(log), own), { force: true })
  await mkdir(join(checkout, 'media/copies'), { recursive: true })
  await writeFile(join(checkout, 'media/copies/checkpoint'), checkpointOf(last, 0, key))
  await writeFile(join(checkout, 'audit.pub'), `${verifierKey(key.verifier)}\n`)
}

function start(line: string) {
  const env = {
    PATH: `${join(checkout, 'path')}:${process.env['PATH'] ?? ''}`,
    HOME: process.env['HOME'],
    CONTROLLER_URL: mesh.controllerUrl,
    CRANK_ADMIN_URL: mesh.admin.url,
    // A busy machine must not look like a fault of the policy; two controllers have a port each, and an audit log each.
    OPA_TIMEOUT_MS: '10000',
    ...(line.includes('--from nats') ? { CRANK_NATS_URL: nats.url } : {}),
    ...(line.startsWith('crank controller')
      ? { CRANK_PORT: '0', CRANK_ADMIN_PORT: '0', CRANK_AUDIT_DIR: join(checkout, 'second') }
      : {}),
  }
  const real = line
    .replace(DECISION, ids.decision)
    .replace(TRACE, ids.trace)
    .replace(' /media/', ` ${checkout}/media/`)
    .replace('/run/spire/agent.sock', workloadApi.socket)
  return spawn('/bin/sh', ['-c', real], { cwd: checkout, env, detached: true })
}

test('there are examples of every command', () => {
  expect(examples.length).toBeGreaterThan(30)
})

describe('an example that ends by itself', () => {
  for (const line of examples.filter((example) => !stays(example))) {
    test(line, async () => {
      const child = start(line)
      const [stderr] = await Promise.all([text(child.stderr), text(child.stdout), once(child, 'close')])
      expect({ line, code: child.exitCode, stderr }).toEqual({ line, code: ANSWERS_NO.has(line) ? 1 : 0, stderr })
    })
  }
})

describe('an example that stays', () => {
  for (const line of examples.filter(stays)) {
    test(line, async () => {
      const [, says = ''] = STAY.find(([begin]) => line.startsWith(begin)) ?? []
      const child = start(line)
      const exited = once(child, 'exit')
      let out = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
      }
      await until(`it says ${says}`, () => out.includes(says) || child.exitCode !== null)
      expect(out).toContain(says)
      process.kill(-child.pid!, 'SIGTERM')
      await exited
    })
  }
})

/** The help of a command and of all below it. */
function helpOf(command: Command): string[] {
  let help = ''
  command.configureOutput({ writeOut: (written) => (help += written) }).outputHelp()
  return [help, ...command.commands.flatMap((sub) => helpOf(sub as Command))]
}

/** The lines below "Example", without what they are said to do; a line that ends in a backslash goes on. */
function examplesIn(help: string): string[] {
  const [, block = ''] = /^Examples?.*:\n((?: {2}.*\n?)+)/m.exec(help) ?? []
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/)[0] ?? '')
    .filter((line) => line !== '')
}
