import { describe, expect, test } from 'vitest'
import { parseCapability } from '../../../src/core/capability.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { EnforcementError, modeOf, parseEnforcement, shadowEntries } from '../../../src/policy/data/enforcement.ts'

const A = 'spiffe://crank.local/worker/team/a'
const TO_PDF = 'convert:document_to_pdf'
const mode = (enforcement: unknown, caller = A, capability = TO_PDF): string =>
  modeOf(parseEnforcement(enforcement), parseSpiffeId(caller), parseCapability(capability))

describe('the mode of a call', () => {
  test.each([
    ['nothing at all', undefined, 'enforce'],
    ['no default', {}, 'enforce'],
    ['the default', { default: 'shadow' }, 'shadow'],
    ['its caller before the default', { default: 'shadow', callers: { [A]: 'enforce' } }, 'enforce'],
    ['its capability before the default', { default: 'enforce', capabilities: { [TO_PDF]: 'shadow' } }, 'shadow'],
    [
      'enforce between caller and capability',
      { callers: { [A]: 'shadow' }, capabilities: { [TO_PDF]: 'enforce' } },
      'enforce',
    ],
    [
      'enforce between capability and caller',
      { callers: { [A]: 'enforce' }, capabilities: { [TO_PDF]: 'shadow' } },
      'enforce',
    ],
    ['both in shadow', { callers: { [A]: 'shadow' }, capabilities: { [TO_PDF]: 'shadow' } }, 'shadow'],
    ['the trust domain', { callers: { 'spiffe://crank.local/': 'shadow' } }, 'shadow'],
    ['a path', { callers: { 'spiffe://crank.local/worker/team/': 'shadow' } }, 'shadow'],
    [
      'the identity before its path',
      { callers: { [A]: 'enforce', 'spiffe://crank.local/worker/team/': 'shadow' } },
      'enforce',
    ],
    [
      'the longer path',
      { callers: { 'spiffe://crank.local/worker/': 'enforce', 'spiffe://crank.local/worker/team/': 'shadow' } },
      'shadow',
    ],
    ['not half a segment', { callers: { 'spiffe://crank.local/worker/te/': 'shadow' } }, 'enforce'],
    ['not a path without its slash', { callers: { 'spiffe://crank.local/worker/team': 'shadow' } }, 'enforce'],
    ['not what lies below it', { callers: { [`${A}/`]: 'shadow' } }, 'enforce'],
    ['not another trust domain', { callers: { 'spiffe://crank.local.evil/': 'shadow' } }, 'enforce'],
  ])('follows %s', (_what, enforcement, expected) => {
    expect(mode(enforcement)).toBe(expected)
  })

  test('follows no name of JavaScript’s own', () => {
    expect(mode(JSON.parse('{"default":"enforce"}'), 'spiffe://crank.local/constructor')).toBe('enforce')
  })
})

describe('is refused with its path:', () => {
  test.each<[string, unknown, string]>([
    ['a list', ['shadow'], 'enforcement: must be an object'],
    ['null', null, 'enforcement: must be an object'],
    [
      'an unknown member',
      { overrides: {} },
      'enforcement.overrides: unknown, must be one of default, callers, capabilities',
    ],
    ['a member that JavaScript knows', JSON.parse('{"__proto__":{}}'), 'enforcement.__proto__: unknown'],
    ['an unknown default', { default: 'off' }, 'enforcement.default: must be "enforce" or "shadow", is "off"'],
    ['a default that is null', { default: null }, 'enforcement.default: must be "enforce" or "shadow", is null'],
    ['callers as a list', { callers: [A] }, 'enforcement.callers: must be an object'],
    ['capabilities that are null', { capabilities: null }, 'enforcement.capabilities: must be an object'],
    [
      'a mode in capitals',
      { callers: { [A]: 'Shadow' } },
      `enforcement.callers["${A}"]: must be "enforce" or "shadow"`,
    ],
    [
      'a caller that is a pattern',
      { callers: { 'spiffe://crank.local/worker/*': 'shadow' } },
      'enforcement.callers["spiffe://crank.local/worker/*"]: path may hold only',
    ],
    [
      'a caller that is a path',
      { callers: { 'worker/streaming': 'shadow' } },
      'enforcement.callers["worker/streaming"]: scheme',
    ],
    [
      'a trust domain without its slash',
      { callers: { 'spiffe://crank.local': 'shadow' } },
      'enforcement.callers["spiffe://crank.local"]: path is missing',
    ],
    ['every trust domain', { callers: { 'spiffe://': 'shadow' } }, 'enforcement.callers["spiffe://"]'],
    [
      'two slashes',
      { callers: { 'spiffe://crank.local//': 'shadow' } },
      'enforcement.callers["spiffe://crank.local//"]: path has an empty segment',
    ],
    ['a verb without a capability', { capabilities: { convert: 'shadow' } }, 'enforcement.capabilities["convert"]'],
    [
      'a capability that is a pattern',
      { capabilities: { 'convert:*': 'shadow' } },
      'enforcement.capabilities["convert:*"]',
    ],
  ])('%s', (_what, enforcement, message) => {
    expect(() => parseEnforcement(enforcement)).toThrow(EnforcementError)
    expect(() => parseEnforcement(enforcement)).toThrow(message)
  })
})

test('counts what is in shadow', () => {
  const callers = { [A]: 'shadow', 'spiffe://crank.local/': 'shadow', 'spiffe://crank.local/b': 'enforce' }
  const enforcement = parseEnforcement({ default: 'shadow', callers, capabilities: { [TO_PDF]: 'enforce' } })
  expect(shadowEntries(enforcement)).toEqual({ default: 1, callers: 2, capabilities: 0 })
  expect(shadowEntries(parseEnforcement(undefined))).toEqual({ default: 0, callers: 0, capabilities: 0 })
})
