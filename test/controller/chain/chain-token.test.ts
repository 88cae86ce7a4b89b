// The token of a chain of calls: what a controller signs is read again, and nothing else is.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readToken, signToken } from '../../../src/controller/chain/chain-token.ts'
import { MAX_CALL_DEPTH } from '../../../src/core/call-chain.ts'
import { parseSpiffeId, type SpiffeId } from '../../../src/core/spiffe-id.ts'
import { CHAIN_KEY, chainKey } from '../../fixtures/call-chains.ts'

type ChainToken = Parameters<typeof signToken>[0]

const letter = fc.constantFrom('a', 'b', 'k', 'z', 'A', 'X', 'Z', '0', '5', '9', '-', '_')
const name = fc.string({ unit: letter, minLength: 1, maxLength: 40 })
const spiffeId: fc.Arbitrary<SpiffeId> = fc
  .array(name, { minLength: 1, maxLength: 4 })
  .map((segments) => parseSpiffeId(`spiffe://crank.local/${segments.join('/')}`))
const tokens: fc.Arbitrary<ChainToken> = fc.record({
  origin: spiffeId,
  worker: spiffeId,
  depth: fc.integer({ min: 0, max: MAX_CALL_DEPTH - 1 }),
  decisionId: fc.uuid(),
  deadlineMs: fc.integer({ min: 0, max: 8.64e15 / 10 }),
})

test('what one key signed is read with it, wherever it stands among the keys', () => {
  fc.assert(
    fc.property(tokens, (token) => {
      const text = signToken(token, CHAIN_KEY)
      expect(readToken(text, [CHAIN_KEY])).toEqual(token)
      expect(readToken(text, [chainKey('b'), CHAIN_KEY])).toEqual(token)
      expect(readToken(text, [chainKey('b')])).toBe('forged')
    }),
  )
})

test('a token in which one character differs is not read', () => {
  fc.assert(
    fc.property(tokens, fc.nat(), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), (token, at, other) => {
      const text = signToken(token, CHAIN_KEY)
      const place = at % text.length
      fc.pre(text[place] !== other)
      const changed = text.slice(0, place) + other + text.slice(place + 1)
      expect(readToken(changed, [CHAIN_KEY])).toBeTypeOf('string')
    }),
    { numRuns: 200 },
  )
})

test('any other text is not a token', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: letter })), (text) => {
      expect(readToken(text, [CHAIN_KEY])).toBeTypeOf('string')
    }),
  )
})

const token: ChainToken = {
  origin: parseSpiffeId('spiffe://crank.local/worker/client'),
  worker: parseSpiffeId('spiffe://crank.local/worker/streaming'),
  depth: 2,
  decisionId: '0198b5a0-0000-7000-8000-000000000001',
  deadlineMs: 1_795_514_400_000,
}
const text = signToken(token, CHAIN_KEY)

test('the form of a token is the one in the documentation', () => {
  expect(text).toMatch(/^v1;2;1795514400000;0198b5a0-[0-9a-f-]+;spiffe:[^;]+;spiffe:[^;]+;[\w-]{43}$/)
})

test.each([
  ['an unknown version', text.replace('v1;', 'v2;'), 'unknown_version'],
  ['an empty value', '', 'malformed'],
  ['a repeated header', `${text}, ${text}`, 'repeated'],
  ['another depth', text.replace('v1;2;', 'v1;0;'), 'forged'],
  ['a later deadline', text.replace(';17955', ';27955'), 'forged'],
  ['another worker', text.replace('streaming', 'streamer'), 'forged'],
  ['no MAC', text.slice(0, -43), 'malformed'],
  ['a depth that no controller hands out', signToken({ ...token, depth: MAX_CALL_DEPTH }, CHAIN_KEY), 'malformed'],
] as const)('%s is told apart', (_what, value, fault) => {
  expect(readToken(value, [CHAIN_KEY])).toBe(fault)
})

test('the longest identities fit', () => {
  const longest = parseSpiffeId(`spiffe://crank.local/${'a'.repeat(2048 - 'spiffe://crank.local/'.length)}`)
  const long = { ...token, origin: longest, worker: longest }
  expect(readToken(signToken(long, CHAIN_KEY), [CHAIN_KEY])).toEqual(long)
})
