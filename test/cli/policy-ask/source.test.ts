import { describe, expect, test } from 'vitest'
import { parseDataReply } from '../../../src/cli/policy-ask/source.ts'

describe('the answer of /policy/data', () => {
  test('gives the data as text, whatever comes before, after and inside it', () => {
    const data = '{"exceptions":{"a":{"expires_after":1767139200000000001}},"x":"\\"data\\":}"}'
    const reply = `{"policy_dir":"/p/\\"data\\":","data": ${data} ,"policy_revision":"r"}\n`
    expect(parseDataReply(reply)).toEqual({ policyDir: '/p/"data":', revision: 'r', dataText: data })
  })

  const strange = [
    '',
    'null',
    '[]',
    'hello',
    '{"policy_dir":"/p","policy_revision":"r"}',
    '{"policy_dir":1,"policy_revision":"r","data":{}}',
  ]
  for (const text of strange) {
    test(`is refused when it is ${JSON.stringify(text)}`, () => {
      expect(() => parseDataReply(text)).toThrow('does not come from a controller')
    })
  }
})
