// The examples of docs/spiffe.md, run as they are written: a server and a client with SVIDs of one Workload API.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../scripts/lab/free-port.ts'
import { createTestCa } from '../fixtures/pki/ca.ts'
import { until } from '../fixtures/until.ts'
import { startFakeWorkloadApi } from '../fixtures/workload-api/fake-workload-api.ts'
import { svidOf } from '../fixtures/workload-api/svids.ts'
import { ROOT } from './markdown.ts'

const SERVER = 'spiffe://example.org/server'
const CLIENT = 'spiffe://example.org/client'

test('a server and a client know each other; the server says when it has a new SVID', async () => {
  const ca = await createTestCa('example.org')
  const serve = async () => ({ svids: [await svidOf(ca, SERVER), await svidOf(ca, CLIENT)] })
  await using api = await startFakeWorkloadApi({ served: await serve() })
  const dir = await mkdtemp(join(tmpdir(), 'crank-spiffe-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  const guide = await readFile(join(ROOT, 'docs/spiffe.md'), 'utf8')
  const start = async (name: string, env: NodeJS.ProcessEnv) => {
    const code = new RegExp(`^\`\`\`ts ${name}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(guide)?.[1] ?? ''
    const file = join(dir, `${name}.mts`)
    // The package is its source.
    await writeFile(file, code.replace("'@crank/worker/spiffe'", `'${join(ROOT, 'src/spiffe/index.ts')}'`))
    const own = { PATH: process.env['PATH'], SPIFFE_ENDPOINT_SOCKET: api.endpoint, ...env }
    return spawn(process.execPath, [file], { env: own, stdio: ['ignore', 'pipe', 'inherit'] })
  }

  const port = await freePort()
  const server = await start('server', { PORT: String(port) })
  onTestFinished(() => void server.kill())
  let said = ''
  server.stdout.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const call = async (): Promise<string> => {
    const client = await start('client', { SERVER: `https://127.0.0.1:${port}/` })
    const [answer] = await Promise.all([text(client.stdout), once(client, 'close')])
    return answer
  }
  await until('the server has its stream', () => api.open() === 1)
  await until('the client is answered', async () => (await call()) === `200 hello, ${CLIENT}\n`, 60_000)
  api.serve(await serve())
  await until('it is told', () => /^spiffe:\/\/example\.org\/server until 20\d\d-/.test(said))
  expect(await call()).toBe(`200 hello, ${CLIENT}\n`)
})
