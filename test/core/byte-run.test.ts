import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { skipRun, startOfRun, tableOf } from '../../src/core/byte-run.ts'

const space = tableOf((character) => ' \n\r\t'.includes(character))

/** `bytes` at `offset` in a larger piece of memory, with more of the run around them that must not count. */
function placed(text: string, offset: number): Buffer {
  const memory = Buffer.alloc(text.length + offset + 8, ' ')
  memory.write(text, offset, 'latin1')
  return memory.subarray(offset, offset + text.length)
}

describe('skipRun', () => {
  test.each([0, 1, 23, 24, 25, 26, 27, 28, 29, 100, 1_000_001])('ends behind a run of %i bytes', (length) => {
    for (const offset of [0, 1, 2, 3]) {
      const run = ' \n\r\t'.repeat(length / 4 + 1).slice(0, length)
      expect(skipRun(placed(run, offset), 0, space)).toBe(length)
      expect(skipRun(placed(`${run}x   `, offset), 0, space)).toBe(length)
      expect(skipRun(placed(`xx${run}x`, offset), 2, space)).toBe(2 + length)
    }
  })

  test('finds what one look at each byte finds, wherever the bytes lie in memory', () => {
    const text = fc.array(fc.constantFrom(' ', '\t', ' '.repeat(30), 'x', '\u00a0', '\0', '\u0120'), { maxLength: 20 })
    fc.assert(
      fc.property(text, fc.nat(7), fc.nat(40), (parts, offset, from) => {
        const bytes = placed(parts.join(''), offset)
        const start = Math.min(from, bytes.length)
        const found = bytes.findIndex((byte, at) => at >= start && !' \n\r\t'.includes(String.fromCharCode(byte)))
        expect(skipRun(bytes, start, space)).toBe(found === -1 ? bytes.length : found)
      }),
    )
  })
})

describe('startOfRun', () => {
  test.each([0, 1, 23, 24, 25, 26, 27, 28, 29, 100, 1_000_001])('begins before a run of %i bytes', (length) => {
    for (const offset of [0, 1, 2, 3]) {
      const run = ' \n\r\t'.repeat(length / 4 + 1).slice(0, length)
      expect(startOfRun(placed(run, offset), length, space)).toBe(0)
      expect(startOfRun(placed(`   x${run}`, offset), 4 + length, space)).toBe(4)
      expect(startOfRun(placed(`x${run}xx`, offset), 1 + length, space)).toBe(1)
    }
  })

  test('finds what one look at each byte finds, wherever the bytes lie in memory', () => {
    const text = fc.array(fc.constantFrom(' ', '\t', ' '.repeat(30), 'x', '\u00a0', '\0', '\u0120'), { maxLength: 20 })
    fc.assert(
      fc.property(text, fc.nat(7), fc.nat(40), (parts, offset, beforeEnd) => {
        const bytes = placed(parts.join(''), offset)
        const end = Math.max(0, bytes.length - beforeEnd)
        const before = bytes.subarray(0, end)
        const found = before.findLastIndex((byte) => !' \n\r\t'.includes(String.fromCharCode(byte)))
        expect(startOfRun(bytes, end, space)).toBe(found + 1)
      }),
    )
  })
})
