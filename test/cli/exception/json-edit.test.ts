import { check } from 'prettier'
import { describe, expect, test } from 'vitest'
import { formatEntry, placesIn, removeMember, setMember } from '../../../src/cli/exception/json-edit.ts'

const FILE = `{
  "a": { "n": 1767139200000000001, "x": [1,2] },
  "b,}\\"{": "\\\\\\"",
  "c": 5
}
`

describe('editing one member as text', () => {
  test('touches nothing else', () => {
    expect(setMember(FILE, 'c', '6')).toBe(FILE.replace('"c": 5', '"c": 6'))
    expect(setMember(FILE, 'd', '7')).toBe(FILE.replace('"c": 5', '"c": 5,\n  "d": 7'))
    expect(setMember(FILE, 'a', '1')).toBe(FILE.replace('{ "n": 1767139200000000001, "x": [1,2] }', '1'))
    expect(removeMember(FILE, 'a')).toBe(FILE.replace('\n  "a": { "n": 1767139200000000001, "x": [1,2] },', ''))
    expect(removeMember(FILE, 'b,}"{')).toBe(FILE.replace('\n  "b,}\\"{": "\\\\\\"",', ''))
    expect(removeMember(FILE, 'c')).toBe(FILE.replace(',\n  "c": 5', ''))
    expect(removeMember(FILE, 'z')).toBe(FILE)
  })

  test('makes the first and takes the last of an object', () => {
    const one = setMember('{}\n', 'ä', '1')
    expect(one).toBe('{\n  "ä": 1\n}\n')
    expect(removeMember(one, 'ä')).toBe('{}\n')
  })

  test('gives back the text it had when what was put in is taken out again', () => {
    expect(removeMember(setMember(FILE, 'd', '{"e": [1, {"f": ","}]}'), 'd')).toBe(FILE)
  })
})

describe('the places in an object', () => {
  const text = ' { "ä": [1,{"x":","}] , "b" : "}" }\n'
  const bytes = Buffer.from(text)
  const cut = ({ start, end }: { start: number; end: number }) => bytes.toString('utf8', start, end)

  test('are of its bytes, not of its characters', () => {
    const { inside, members } = placesIn(bytes)
    expect(cut(inside)).toBe(' "ä": [1,{"x":","}] , "b" : "}" ')
    expect(members.map(({ key, value, whole }) => [key, cut(value), cut(whole)])).toEqual([
      ['ä', '[1,{"x":","}]', ' "ä": [1,{"x":","}] ,'],
      ['b', '"}"', ' , "b" : "}"'],
    ])
  })

  test('of the only member are all that is inside', () => {
    const only = Buffer.from('{ "a": 1 }')
    expect(placesIn(only).members).toEqual([{ key: 'a', value: { start: 7, end: 8 }, whole: { start: 1, end: 9 } }])
    expect(placesIn(Buffer.from('{}'))).toEqual({ inside: { start: 1, end: 1 }, members: [] })
  })
})

describe('an entry', () => {
  test.each([0, 1, 3, 4, 5, 6, 7, 9])('with %i capabilities is as Prettier writes it', async (count) => {
    const capabilities = Array.from({ length: count }, (_, n) => `convert:${'x'.repeat(10 + n)}`)
    const entry = { capabilities, expires_after: 1767139200000000001n, reason: '"é"\n', owner: 'o' }
    const text = setMember('{}\n', 'a', formatEntry(entry))
    expect(text).toContain('1767139200000000001')
    expect(await check(text, { parser: 'json', printWidth: 120 })).toBe(true)
  })
})
