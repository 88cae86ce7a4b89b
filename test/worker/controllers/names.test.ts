// A name with several addresses stands for several controllers. Real sockets on 127.0.0.1 to 127.0.0.3; the resolver is the test's.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Addresses } from '../../../src/platform/host-lookup.ts'
import { until } from '../../fixtures/until.ts'
import { callsOneByOne, openSeveral, type Linked, type Several } from './several.ts'

let several: Several
let one: Linked
let two: Linked
let port: number
let url: string
let addresses: string[] | Error
let lookups: string[]
let skewMs: number
beforeEach(async () => {
  several = await openSeveral()
  one = await several.start()
  port = Number(new URL(one.fake.url).port)
  two = await several.start({ host: '127.0.0.2', port })
  url = `https://controller.mesh:${port}`
  addresses = ['127.0.0.1', '127.0.0.2']
  lookups = []
  skewMs = 0
})
afterEach(() => several.close())

const lookup = (host: string): Promise<Addresses> => {
  lookups.push(host)
  if (addresses instanceof Error) return Promise.reject(addresses)
  return Promise.resolve(addresses.map((address) => ({ address, family: 4 })))
}
const monotonic = (): number => performance.now() + skewMs
/** The answers of the resolver are remembered for five seconds. */
const forget = (): void => void (skewMs += 5001)
const named = (address: string): string => `${url} (${address})`

test('calls go to all addresses of the name, and the name is resolved once for many of them', async () => {
  const client = several.client([url], { lookup, monotonic })
  expect(await callsOneByOne(client, 10)).toEqual({ [named('127.0.0.1')]: 5, [named('127.0.0.2')]: 5 })
  expect(lookups).toEqual(['controller.mesh'])
  expect(one.routed()[0]!.headers.host).toBe(`controller.mesh:${port}`)
})

test('an address without a controller costs no call, and is named', async () => {
  addresses = ['127.0.0.3', '127.0.0.1']
  const client = several.client([url], { lookup, monotonic })
  expect(await callsOneByOne(client, 10)).toEqual({ [named('127.0.0.1')]: 10 })
  expect(client.changes).toMatchObject([
    { change: 'avoided', controller: named('127.0.0.3'), reason: expect.stringContaining('ECONNREFUSED') },
  ])
})

test('a new address gets calls, one that has gone does not', async () => {
  addresses = ['127.0.0.1']
  const client = several.client([url], { lookup, monotonic })
  expect(await callsOneByOne(client, 2)).toEqual({ [named('127.0.0.1')]: 2 })
  addresses = ['127.0.0.2']
  forget()
  await until('the new one gets calls', async () => (await client.call()).by === named('127.0.0.2'))
  expect(await callsOneByOne(client, 4)).toEqual({ [named('127.0.0.2')]: 4 })
  expect(client.changes).toEqual([])
})

test('a call that finds no controller at the known address asks for the address again', async () => {
  addresses = ['127.0.0.1']
  const client = several.client([url], { lookup, monotonic })
  await callsOneByOne(client, 1)
  await one.fake.close()
  addresses = ['127.0.0.2']
  forget()
  expect((await client.call()).by).toBe(named('127.0.0.2'))
  expect(two.routed()).toHaveLength(1)
})

test('a name that cannot be resolved any more keeps its addresses', async () => {
  const client = several.client([url], { lookup, monotonic })
  await callsOneByOne(client, 2)
  addresses = new Error('getaddrinfo ENOTFOUND controller.mesh')
  forget()
  await callsOneByOne(client, 2)
  expect(lookups).toHaveLength(2)
  expect(Object.keys(await callsOneByOne(client, 2))).toHaveLength(2)
})

test('a name without an address is an error that names it; beside another controller it costs no call', async () => {
  addresses = new Error('getaddrinfo ENOTFOUND controller.mesh')
  await expect(several.client([url], { lookup, monotonic }).call()).rejects.toMatchObject({
    kind: 'dns',
    message: 'getaddrinfo ENOTFOUND controller.mesh',
  })
  const list = several.client([url, one.fake.url], { lookup, monotonic })
  expect(await callsOneByOne(list, 4)).toEqual({ [one.fake.url]: 4 })
  await one.fake.close()
  await expect(list.call()).rejects.toThrow(`${url}: getaddrinfo ENOTFOUND controller.mesh`)
})
