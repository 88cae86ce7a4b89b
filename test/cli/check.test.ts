// `crank check` as a whole, with a controller that is a list of answers and a clock that is set by hand.
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gatherFindings } from '../../src/cli/check.ts'
import { copyPolicies } from '../fixtures/policy-dir.ts'

const HEALTH = { version: '1', engine: 'opa-wasm', policy_revision: 'x', checks: [] }

test('the clocks are compared as they were when the controller answered, however long the other checks take', async () => {
  const clock = { ms: Date.UTC(2026, 10, 24, 8) }
  await using server = createServer(({ url }, response) => {
    response.setHeader('date', new Date(clock.ms).toUTCString())
    response.end(JSON.stringify(url === '/health' ? HEALTH : { workers: [] }))
    // As a handshake with a worker that hangs.
    if (url === '/workers') clock.ms += 60_000
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stateDir = join(tmpdir(), 'crank-that-is-not-there')
  const findings = await gatherFindings({ adminUrl, stateDir }, {}, () => clock.ms)
  expect(clock.ms).toBe(Date.UTC(2026, 10, 24, 8, 1))
  expect(findings.find(({ name }) => name === 'clock')).toMatchObject({
    status: 'ok',
    message: "2026-11-24T08:00:00.000Z, as the controller's",
  })
})

test('a policy folder at fault is named with what to do, and what the controller knows of it is a warning', async () => {
  await using policies = await copyPolicies()
  await rm(join(policies.dir, 'data/blocked.json'))
  const checks = [
    { name: 'policy', ok: true, reason: 'the policy folder is not in force: blocked.json: no such file' },
    { name: 'audit', ok: true, reason: 'in a new segment since 2026-11-24T08:00:00.000Z: the one before was renamed' },
    { name: 'mesh', ok: true, reason: 'degraded: the shared store has been away for 5 s' },
  ]
  await using server = createServer(({ url }, response) => {
    response.end(JSON.stringify(url === '/health' ? { ...HEALTH, checks } : { workers: [] }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stateDir = join(tmpdir(), 'crank-that-is-not-there')
  const findings = await gatherFindings({ adminUrl, stateDir }, { CRANK_POLICY_DIR: policies.dir }, Date.now)
  expect(findings.find(({ name }) => name === 'policy')).toEqual({
    name: 'policy',
    status: 'fail',
    message: expect.stringContaining('blocked.json: no such file; put it back or, if nothing is blocked, create it'),
    hint: expect.stringMatching(/^fix the file: a running controller keeps the last good policy/),
  })
  expect(findings.find(({ name }) => name === 'controller policy')).toMatchObject({
    status: 'warn',
    message: checks[0]!.reason,
    hint: expect.stringContaining('the last good policy'),
  })
  expect(findings.find(({ name }) => name === 'controller audit')).toMatchObject({
    status: 'warn',
    message: checks[1]!.reason,
    hint: 'crank audit verify says which records are missing',
  })
  expect(findings.find(({ name }) => name === 'controller mesh')).toMatchObject({
    status: 'warn',
    hint: expect.stringContaining('CRANK_NATS_URL'),
  })
})

test('OPA with another policy than the folder is told by the check of the policy, not by the advice to restart', async () => {
  await using policies = await copyPolicies()
  const reason = 'OPA has had different data than the policy folder for more than 5 s'
  const gather = async (policy: object) => {
    await using server = createServer(({ url }, response) => {
      response.end(JSON.stringify(url === '/health' ? { ...HEALTH, checks: [policy] } : { workers: [] }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const stateDir = join(tmpdir(), 'crank-that-is-not-there')
    return await gatherFindings({ adminUrl, stateDir }, { CRANK_POLICY_DIR: policies.dir }, Date.now)
  }
  const behind = await gather({ name: 'policy', ok: false, reason })
  expect(behind.find(({ name }) => name === 'controller policy')).toMatchObject({ status: 'fail', message: reason })
  expect(behind.find(({ name }) => name === 'policy revision')).toBeUndefined()
  const other = await gather({ name: 'policy', ok: true })
  expect(other.find(({ name }) => name === 'policy revision')).toMatchObject({ status: 'warn' })
})
