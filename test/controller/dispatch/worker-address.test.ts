import { describe, expect, test } from 'vitest'
import { createWorkerAddresses } from '../../../src/controller/dispatch/worker-address.ts'
import { parseHostRules } from '../../../src/platform/host-rules.ts'

const signal = new AbortController().signal

/** The addresses that may be connected to, when the name stands for `behind`. */
async function connectable(host: string, behind: string[], rules = ''): Promise<string[]> {
  const lookup = () => Promise.resolve(behind.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  const addresses = createWorkerAddresses({ lookup, rules: parseHostRules(rules) })
  return (await addresses(host, 'owner', signal)).map(({ address }) => address)
}

describe('a connection to a worker goes', () => {
  test('to what its name stands for at that moment', async () => {
    expect(await connectable('worker.test', ['10.0.0.7', 'fd00::7'])).toEqual(['10.0.0.7', 'fd00::7'])
  })

  test('to an address itself, without asking anybody', async () => {
    expect(await connectable('10.0.0.7', ['10.9.9.9'])).toEqual(['10.0.0.7'])
  })

  test('only to the addresses of a name that are allowed', async () => {
    expect(await connectable('worker.test', ['169.254.169.254', '10.0.0.7'])).toEqual(['10.0.0.7'])
    expect(await connectable('a.mesh.test', ['192.168.1.1', '10.0.0.7'], '*.mesh.test,10.0.0.0/8')).toEqual([
      '10.0.0.7',
    ])
  })

  test('anywhere behind an allowed name, when the list holds no ranges', async () => {
    expect(await connectable('a.mesh.test', ['192.168.1.1'], '*.mesh.test')).toEqual(['192.168.1.1'])
  })

  test.each([
    ['a link-local address behind a name', 'evil.test', ['169.254.169.254'], ''],
    ['a NAT64 form of it behind a name', 'evil.test', ['64:ff9b::a9fe:a9fe'], ''],
    ['a 6to4 form of it behind a name', 'evil.test', ['2002:a9fe:a9fe::'], ''],
    ['a link-local address', '169.254.169.254', [], ''],
    ['a name outside the list', 'other.test', ['10.0.0.7'], '*.mesh.test'],
    ['an address outside the ranges behind a name of the list', 'a.mesh.test', ['127.0.0.1'], '*.mesh.test,10.0.0.0/8'],
    ['an address outside the ranges', '127.0.0.1', [], '10.0.0.0/8'],
  ])('never to %s', async (_name, host, behind, rules) => {
    await expect(connectable(host, behind, rules)).rejects.toMatchObject({ kind: 'address' })
  })
})
