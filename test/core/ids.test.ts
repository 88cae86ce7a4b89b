import { expect, test } from 'vitest'
import { randomHex, uuidv7 } from '../../src/core/ids.ts'

test('a UUIDv7 has the version, the variant and the time of RFC 9562', () => {
  const nowMs = Date.UTC(2026, 10, 24)
  for (let i = 0; i < 1000; i++) {
    const id = uuidv7(nowMs)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs)
  }
})

test('ids do not repeat across refills of the random pool', () => {
  const seen = new Set(Array.from({ length: 5000 }, () => randomHex(16)))
  expect(seen.size).toBe(5000)
  for (const id of seen) expect(id).toMatch(/^[0-9a-f]{32}$/)
})
