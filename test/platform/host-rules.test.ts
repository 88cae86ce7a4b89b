import { describe, expect, test } from 'vitest'
import { parseHostRules } from '../../src/platform/host-rules.ts'

const RULES = 'worker.local, *.svc.cluster.local,10.0.0.0/8,fd00::/8, 192.168.1.7'

describe('parseHostRules', () => {
  test('an empty list allows every host', () => {
    for (const list of ['', ' , ']) expect(parseHostRules(list)).toMatchObject({ any: true, text: [] })
    expect(parseHostRules('').allows('anything.example')).toBe(true)
  })

  test.each(['worker.local', 'WORKER.local', 'worker.local.', 'a.svc.cluster.local', 'a.b.svc.cluster.local'])(
    'allows the name %s',
    (host) => expect(parseHostRules(RULES).allows(host)).toBe(true),
  )

  test.each(['10.1.2.3', '192.168.1.7', 'fd00::1', '[fd12:3456::1]', '::ffff:10.1.2.3'])(
    'allows the address %s',
    (host) => {
      expect(parseHostRules(RULES).allows(host)).toBe(true)
    },
  )

  test.each([
    'other.local',
    'xworker.local',
    'a.worker.local',
    'svc.cluster.local',
    'evilsvc.cluster.local',
    '11.0.0.1',
    '192.168.1.8',
    'fe80::1',
    'fe80::1%eth0',
    '',
  ])('refuses %j', (host) => {
    expect(parseHostRules(RULES).allows(host)).toBe(false)
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0/8',
    '300.1.1.1',
    'https://a',
    'a:443',
    '*',
    'a.*.b',
    '-a',
    'a/24',
    'fe80::1%eth0',
    'a b',
  ])('cannot be made with %j', (entry) => {
    expect(() => parseHostRules(`ok.local,${entry}`)).toThrow(`"${entry}" is none of these`)
  })
})
