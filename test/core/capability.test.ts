import { describe, expect, test } from 'vitest'
import { CapabilityError, makeCapability, parseCapability, splitCapability } from '../../src/core/capability.ts'

describe('a capability', () => {
  test('is parsed, made and split', () => {
    const capability = parseCapability('convert:document_to_pdf')
    expect(capability).toBe(makeCapability('convert', 'document_to_pdf'))
    expect(splitCapability(capability)).toEqual({ verb: 'convert', name: 'document_to_pdf' })
  })

  const bad = [
    '',
    ':',
    'a',
    'a:',
    ':a',
    'a:b:c',
    'A:b',
    'a:B',
    '1a:b',
    'a:1b',
    'a b:c',
    'a:b\n',
    'ä:b',
    'a:b-c',
    `${'a'.repeat(65)}:b`,
    '__proto__:x',
  ]
  for (const text of bad) {
    test(`refuses ${JSON.stringify(text)}`, () => expect(() => parseCapability(text)).toThrow(CapabilityError))
  }
})
