import { expect, test } from 'vitest'
import { doubledKey } from '../../../src/policy/engine/doubled-key.ts'

test.each<[string, string | undefined]>([
  ['{}', undefined],
  ['[]', undefined],
  ['{"a":1,"b":2}', undefined],
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1, "\\u0061" :2}', 'a'],
  ['{"a\\"b":1,"a\\"b":2}', 'a"b'],
  ['{"a":"a","b":["a","a"]}', undefined],
  ['{"a":{"a":{"a":1}},"b":{"a":1}}', undefined],
  ['[{"a":1},{"a":1}]', undefined],
  ['{"x":[{"y":{"a":1,"b":{},"a":2}}]}', 'a'],
  ['{"a":{"b":1},"c":[1,{"d":2}],"a":3}', 'a'],
  ['{"a":"\\\\","b":"\\"a\\":1,\\"a\\":","c":0}', undefined],
  ['{"":1,"":2}', ''],
])('%s', (json, name) => {
  JSON.parse(json)
  expect(doubledKey(json)).toBe(name)
})
