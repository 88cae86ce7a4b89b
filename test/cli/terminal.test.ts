// Names from outside may hold anything; on a terminal they stay text.
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GENESIS, sealRecord } from '../../src/audit/chain.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { printable, printableTexts, quoted } from '../../src/core/printable.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { crank, type Finished } from './crank.ts'

/** Clears the screen, sets the title, then forges a line; C1, a bidirectional mark, a separator, half a character. */
const EVIL = '\u001b[2J\u001b]0;owned\u0007\r\nforged  allow\u009b31m\u202e\u2028\ud800'
const SHOWN = String.raw`\u001b[2J\u001b]0;owned\u0007\r\nforged  allow\u009b31m\u202e\u2028\ud800`
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const DECISION = '019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e44'
/** Makes stdout a terminal that wants colours. */
const TERMINAL = `data:text/javascript,${encodeURIComponent(`
  process.stdout.isTTY = true
  process.env.FORCE_COLOR = '1'
`)}`

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh()
}, 60_000)
afterAll(() => mesh.close())

function expectPlainLines({ stdout, stderr }: Finished): void {
  for (const line of `${stdout}\n${stderr}`.split('\n')) expect(line).not.toMatch(UNPRINTABLE)
}

async function evilLog(): Promise<string> {
  const file = join(mesh.dir, 'evil.jsonl')
  const [policy] = (await mesh.audit()).filter(({ event }) => event === 'policy_decision')
  const record = {
    ...policy,
    decision_id: DECISION,
    requester_spiffe_id: 'spiffe://crank.local/worker/a',
    capability: 'a:b',
    decision: 'deny',
    reasons: [{ code: 'own_code', message: `no ${EVIL}` }],
    exception: EVIL,
  } as Record<string, unknown>
  for (const name of ['v', 'seq', 'prev', 'hash']) Reflect.deleteProperty(record, name)
  await writeFile(file, sealRecord(GENESIS, serialiseEvent(record as never)).line)
  return file
}

test('a member name with control characters is quoted in the reason, and one line of the tail', async () => {
  const body = `{"verb":"stream","capability":"text_events",${JSON.stringify(EVIL)}:1}`
  const headers = { 'content-type': 'application/json' }
  const answer = await mesh.request(STREAMING, { path: '/route', method: 'POST', headers, body })
  expect(answer.status).toBe(400)
  expect(answer.body.reason).toContain(`"${SHOWN}"`)
  const record = await mesh.auditedAs(({ decision_id: id }) => id === answer.body.decision_id)
  expect(record['reason']).toContain(`"${SHOWN}"`)
  const tail = await crank(['audit', 'tail', '--audit', mesh.auditLog, '-n', '1'])
  expect(tail.stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(tail.stdout).toContain(SHOWN)
  expectPlainLines(tail)
})

test('a log of anybody cannot drive the terminal of tail and explain, and is the same as JSON', async () => {
  await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
  const file = await evilLog()
  const from = ['--audit', file]
  const policies = ['--policy', 'policies']
  for (const args of [
    ['audit', 'tail', ...from],
    ['explain', DECISION, ...from, ...policies],
  ]) {
    const shown = await crank(args)
    expect(shown.code).toBe(0)
    expect(shown.stdout).toContain(SHOWN)
    expectPlainLines(shown)
  }
  const json = await crank(['audit', 'tail', '-o', 'json', ...from])
  expectPlainLines(json)
  expect(JSON.parse(json.stdout)).toEqual(JSON.parse(await readFile(file, 'utf8')))
  const explained = await crank(['explain', DECISION, ...from, ...policies, '-o', 'json'])
  expectPlainLines(explained)
  expect(JSON.parse(explained.stdout)).toMatchObject({ records: [{ reasons: [{ message: `no ${EVIL}` }] }] })
})

test('on a terminal there are our own colours and nothing else', async () => {
  await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
  const { stdout } = await crank(['audit', 'tail', '--audit', await evilLog()], { nodeArgs: ['--import', TERMINAL] })
  expect(stdout).toContain('\u001b[31mdeny')
  expect(stdout).toContain(SHOWN)
  for (const line of stdout.split('\n')) expect(line.replaceAll(/\u001b\[\d+m/g, '')).not.toMatch(UNPRINTABLE)
})

test('what a server sends stays text in tables, in errors and in bodies on a terminal', async () => {
  const { chainPem: cert, keyPem: key } = await mesh.identity('controller')
  const server = createServer({ cert, key, ca: mesh.ca.certPem, requestCert: true }, (request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/json')
    if (request.url === '/workers') {
      const worker = { worker_id: EVIL, state: 'live', in_flight: 0, last_heartbeat_at: 'x', capabilities: [] }
      response.end(JSON.stringify({ workers: [{ ...worker, spiffe_id: 'a' }] }))
    } else if (request.url === '/route/a/b') response.writeHead(403, { 'content-type': 'text/plain' }).end(EVIL)
    else response.writeHead(403).end(JSON.stringify({ error: 'refused', reason: EVIL }))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const env = {
    CONTROLLER_URL: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...(await mesh.tlsEnv(STREAMING)),
  }
  try {
    const workers = await crank(['workers'], { env })
    expect(workers).toMatchObject({ code: 0, stdout: expect.stringContaining(SHOWN) })
    expectPlainLines(workers)
    const refused = await crank(['capabilities'], { env })
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(`403 refused: ${SHOWN}`) })
    expectPlainLines(refused)
    const piped = await crank(['invoke', 'a', 'b'], { env })
    expect(piped.stdout).toBe(`${Buffer.from(EVIL).toString()}\n`)
    const terminal = await crank(['invoke', 'a', 'b'], { env, nodeArgs: ['--import', TERMINAL] })
    expect(terminal.stdout).toContain(String.raw`\u001b[2J\u001b]0;owned\u0007`)
    for (const line of terminal.stdout.split('\n')) expect(line).not.toMatch(UNPRINTABLE)
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test('what was typed, or put there by a script, is shown as text in the error', async () => {
  for (const args of [
    ['audit', EVIL.replace('\ud800', '')],
    ['audit', 'tail', '--since', EVIL.replace('\ud800', '')],
    ['explain', EVIL.replace('\ud800', ''), 'a', 'b'],
  ]) {
    const failed = await crank(args)
    expect(failed.code).toBe(2)
    expectPlainLines(failed)
  }
})

test('the readable log of a terminal holds no control character of a field either', () => {
  let written = ''
  const destination = { write: (text: string) => (written += text) }
  createLogger({ level: 'info', service: 'test', destination, pretty: true }).info({ event: 'e', path: EVIL }, 'm')
  for (const line of written.split('\n')) expect(line).not.toMatch(UNPRINTABLE)
  expect(written).toContain(String.raw`\u001b[2J`)
})

test('escapes are readable, and a quoted name ends where it ends', () => {
  expect(printable(`é 😀 ${EVIL}`)).toBe(`é 😀 ${SHOWN}`)
  expect(quoted('a"\n\\')).toBe(String.raw`"a\"\n\\"`)
  expect(quoted('x'.repeat(100))).toBe(`"${'x'.repeat(64)}"`)
  const line = JSON.stringify({ a: EVIL, b: '\\u001b' })
  expect(JSON.parse(printableTexts(line))).toEqual({
    a: SHOWN.replace(String.raw`\n`, '\n'),
    b: '\\u001b',
  })
})
