// A real OPA, started with exactly the arguments of docker-compose.policy.yml: only paths and addresses are mapped.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { opaArguments } from '../fixtures/opa-server.ts'
import { policyInput, registrationInput } from '../fixtures/policy-input.ts'
import { until } from '../fixtures/until.ts'
import { freePort } from '../fixtures/free-port.ts'
import { commandOf, ROOT, service } from './compose.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const PACKAGE = '/v1/data/crank/capability_access'
const UNDER_LOAD_MS = 60_000

const opa = await findTool('opa')
const [apiPort, diagnosticPort] = [await freePort(), await freePort()]
let child: ChildProcess

beforeAll(async () => {
  child = spawn(opa, commandOf(service('opa').command).map(mapped), { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const isUp = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`opa ended: ${errors}`)
    return (await checkHealth()) === 0
  }
  await until('OPA is healthy', isUp, UNDER_LOAD_MS)
}, UNDER_LOAD_MS)
afterAll(stop)

describe('the OPA of the compose file', () => {
  test('allows what a manifest declares', async () => {
    const { result } = await ask(`${PACKAGE}/decision`, policyInput(STREAMING, 'stream:text_events'))
    expect(result).toMatchObject({ allow: true, mode: 'enforce', grounds: ['declared'], reasons: [] })
  })

  test('denies what it does not, and says why', async () => {
    const { result } = await ask(`${PACKAGE}/decision`, policyInput(STREAMING, 'convert:document_to_pdf'))
    expect(result).toMatchObject({ allow: false, reasons: [{ code: 'capability_not_declared' }] })
  })

  test('decides registrations', async () => {
    const question = '/v1/data/crank/worker_registration/decision'
    const own = await ask(question, registrationInput(STREAMING, 'worker-streaming', ['stream:text_events']))
    const foreign = await ask(question, registrationInput(STREAMING, 'worker-streaming', ['convert:document_to_pdf']))
    expect(own.result).toMatchObject({ allow: true })
    expect(foreign.result).toMatchObject({ allow: false })
  })

  test('has all data where the policies look for it', async () => {
    const legacy = 'spiffe://crank.local/worker/legacy-service'
    const { result } = await ask(`${PACKAGE}/decision`, policyInput(legacy, 'stream:text_events'))
    expect(result).toMatchObject({ allow: false, exception: `${legacy}#*` })
  })

  test('loads the files that the tests of the engines load', () => {
    const isFile = (word: string): boolean => word.includes('/policies/')
    const ofTests = opaArguments('/policies', '0.0.0.0:8181').filter(isFile)
    expect(commandOf(service('opa').command).filter(isFile).sort()).toEqual(ofTests.sort())
  })
})

describe("the plan's own queries, with its short input", () => {
  const shortInput = (verb: string, capability: string) => ({
    identity: { spiffe_id: STREAMING },
    action: { verb, capability },
  })

  test('say allow: true and no reason for a declared capability', async () => {
    const input = shortInput('stream', 'text_events')
    expect(await ask(`${PACKAGE}/allow`, input)).toEqual({ result: true })
    expect(await ask(`${PACKAGE}/deny`, input)).toEqual({ result: [] })
  })

  test('say allow: false and why for another', async () => {
    const input = shortInput('convert', 'document_to_pdf')
    expect(await ask(`${PACKAGE}/allow`, input)).toEqual({ result: false })
    expect(await ask(`${PACKAGE}/deny`, input)).toEqual({
      result: [`Worker ${STREAMING} not authorized for capability convert:document_to_pdf`],
    })
  })
})

describe('everything else is refused', () => {
  const refused: readonly [method: string, path: string, body?: string][] = [
    ['PUT', '/v1/policies/crank/capability_access', 'package crank.capability_access\nallow := true'],
    ['PUT', '/v1/policies/own', 'package own\nallow := true'],
    ['GET', '/v1/policies/%2Fpolicies%2Fcommon.rego'],
    ['DELETE', '/v1/policies/%2Fpolicies%2Fsystem_authz.rego'],
    ['GET', '/v1/config'],
    ['POST', '/v1/status', '{}'],
    ['GET', '/v1/data'],
    ['GET', '/v1/data/workers'],
    ['PUT', '/v1/data/workers', '{}'],
    ['PATCH', '/v1/data/enforcement', '[{"op":"replace","path":"/default","value":"shadow"}]'],
    ['POST', `${PACKAGE}/decision?explain=full`, '{"input":{}}'],
    ['POST', '/v1/query', '{"query":"data.workers"}'],
    ['GET', '/metrics'],
  ]
  for (const [method, path, body] of refused) {
    test(`${method} ${path}`, async () => {
      const response = await fetch(`${origin()}${path}`, { method, ...(body === undefined ? {} : { body }) })
      expect(response.status).toBe(401)
      expect(await response.json()).toMatchObject({ code: 'unauthorized' })
    })
  }
})

describe('the health check', () => {
  test('passes while OPA is up and fails once it is down', async () => {
    expect(await checkHealth()).toBe(0)
    await stop()
    expect(await checkHealth()).toBe(1)
  })
})

/** A word of the compose file with its paths and addresses as they are here. */
function mapped(word: string): string {
  return word
    .replace('/policies/', `${join(ROOT, 'policies')}/`)
    .replace('0.0.0.0:8181', `127.0.0.1:${apiPort}`)
    .replace('127.0.0.1:8282', `127.0.0.1:${diagnosticPort}`)
}

async function checkHealth(): Promise<number | null> {
  const [form, program, ...args] = commandOf(service('opa').healthcheck.test)
  expect([form, program]).toEqual(['CMD', '/opa'])
  return (await run(opa, args.map(mapped))).code
}

async function ask(path: string, input: unknown): Promise<{ result?: unknown }> {
  const body = JSON.stringify({ input })
  const response = await fetch(`${origin()}${path}`, { method: 'POST', body })
  expect(response.status).toBe(200)
  return (await response.json()) as { result?: unknown }
}

function origin(): string {
  return `http://127.0.0.1:${apiPort}`
}

async function stop(): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}
