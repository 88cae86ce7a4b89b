// Chains of calls: who may continue one, until when, and how far.
import { expect, test } from 'vitest'
import { MAX_CALL_DEPTH, newChain, type CallChain } from '../../../src/core/call-chain.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { chainKey, createTestChains } from '../../fixtures/call-chains.ts'

const client = parseSpiffeId('spiffe://crank.local/worker/client')
const worker = parseSpiffeId('spiffe://crank.local/worker/streaming')
const DECISION = '0198b5a0-0000-7000-8000-000000000001'
const call = (chain: CallChain) => ({ decisionId: DECISION, chain })

test('a call without the header begins a chain', () => {
  expect(createTestChains().read(undefined, client)).toEqual({ origin: client, depth: 0, onBehalfOf: null })
})

test('a call on behalf of a call has its origin, one more depth, and its decision id', () => {
  const chains = createTestChains()
  const header = chains.handOn(call(newChain(client)), worker, 1000)
  expect(chains.read(header, worker)).toEqual({ origin: client, depth: 1, onBehalfOf: DECISION })
})

test('a token is valid until its deadline, and not at it', () => {
  let nowMs = 1000
  const chains = createTestChains({ now: () => nowMs })
  const header = chains.handOn(call(newChain(client)), worker, 500)
  nowMs = 1499
  expect(chains.read(header, worker).depth).toBe(1)
  nowMs = 1500
  expect(() => chains.read(header, worker)).toThrow('has expired')
})

test('a token is valid from the identity that it was handed to, and no other', () => {
  const chains = createTestChains()
  const header = chains.handOn(call(newChain(client)), worker, 1000)
  for (const other of [client, parseSpiffeId(`${worker}/x`), parseSpiffeId(`${worker}x`)]) {
    expect(() => chains.read(header, other)).toThrow('was handed to another identity')
  }
})

test(`a chain has at most ${MAX_CALL_DEPTH} calls`, () => {
  const chains = createTestChains()
  let chain = newChain(client)
  for (let calls = 1; calls < MAX_CALL_DEPTH; calls += 1) {
    chain = chains.read(chains.handOn(call(chain), worker, 1000), worker)
    expect(chain).toMatchObject({ origin: client, depth: calls })
  }
  const last = chains.handOn(call(chain), worker, 1000)
  expect(() => chains.read(last, worker)).toThrow(expect.objectContaining({ code: 'loop_detected' }) as Error)
})

test('a key is replaced without a refused call: the new one signs, both verify, then the old one is removed', () => {
  const [old, next] = [chainKey('a'), chainKey('b')]
  const before = createTestChains({ keys: [old] }).handOn(call(newChain(client)), worker, 1000)
  const during = createTestChains({ keys: [next, old] })
  expect(during.read(before, worker).depth).toBe(1)
  const after = createTestChains({ keys: [next] })
  expect(after.read(during.handOn(call(newChain(client)), worker, 1000), worker).depth).toBe(1)
  expect(() => after.read(before, worker)).toThrow('was not made by this mesh')
})
