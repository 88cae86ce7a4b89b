// A real OPA, started with exactly the arguments of docker-compose.policy.yml: only paths and addresses are mapped.
import { stat } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { opaArguments } from '../../scripts/lab/opa-server.ts'
import { policyInput, registrationInput } from '../fixtures/policy-input.ts'
import { startComposeOpa, type ComposeOpa } from './compose-opa.ts'
import { commandOf, compose, service } from './compose.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const PACKAGE = '/v1/data/crank/capability_access'

let opa: ComposeOpa
beforeAll(async () => {
  opa = await startComposeOpa(compose)
})
afterAll(() => opa.stop())

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

  test('decides in batches', async () => {
    const items = ['stream:text_events', 'convert:document_to_pdf'].map((capability) =>
      policyInput(STREAMING, capability),
    )
    const { result } = await ask('/v1/data/crank/batch/decisions?provenance=true', { items })
    expect(result).toMatchObject([{ allow: true }, { allow: false }])
  })

  test('can be asked by its own user only', async () => {
    const { mode, uid } = await stat(opa.socket)
    expect([mode & 0o777, uid]).toEqual([0o600, process.getuid?.()])
  })

  test('has all data where the policies look for it', async () => {
    const legacy = 'spiffe://crank.local/worker/legacy-service'
    const { result } = await ask(`${PACKAGE}/decision`, policyInput(legacy, 'stream:text_events'))
    expect(result).toMatchObject({ allow: false, exception: `${legacy}#*` })
  })

  test('loads the files that the tests of the engines load', () => {
    const isFile = (word: string): boolean => word.includes('/policies/')
    const ofTests = opaArguments('/policies', '').filter(isFile)
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
    ['POST', '/metrics'],
  ]
  for (const [method, path, body] of refused) {
    test(`${method} ${path}`, async () => {
      const response = await opa.ask(path, { method, body })
      expect(response.status).toBe(401)
      expect(await response.json()).toMatchObject({ code: 'unauthorized' })
    })
  }
})

describe('the diagnostic listener', () => {
  test('gives metrics and health, and nothing else', async () => {
    expect(await (await fetch(`${opa.diagnostic}/metrics`)).text()).toContain('http_request_duration_seconds_bucket')
    expect((await fetch(`${opa.diagnostic}/health`)).status).toBe(200)
    for (const path of ['/v1/data', '/v1/policies', '/v1/config'])
      expect((await fetch(`${opa.diagnostic}${path}`)).ok).toBe(false)
  })

  test('listens on every address of the container, for Prometheus to scrape', () => {
    expect(commandOf(service('opa').command)).toContain('--diagnostic-addr=http://0.0.0.0:8282')
  })
})

describe('the log', () => {
  test('holds no decision', () => {
    expect(opa.lines().filter((line) => line.includes('Decision Log'))).toEqual([])
  })
})

describe('the health check', () => {
  test('passes while OPA is up and fails once it is down', async () => {
    expect(await opa.checkHealth()).toBe(0)
    await opa.stop()
    expect(await opa.checkHealth()).toBe(1)
  })
})

async function ask(path: string, input: unknown): Promise<{ result?: unknown }> {
  const body = JSON.stringify({ input })
  const response = await opa.ask(path, { method: 'POST', body })
  expect(response.status).toBe(200)
  return (await response.json()) as { result?: unknown }
}
