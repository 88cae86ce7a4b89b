// Resolving names while some of them hang: what is remembered, and who waits for whom.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHostLookup, type Addresses, type HostLookup } from '../../src/platform/host-lookup.ts'

const HERE: Addresses = [{ address: '127.0.0.1', family: 4 }]
const never = new AbortController().signal

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

type Resolver = {
  readonly lookup: HostLookup
  /** Names that were asked for and are not answered yet. */
  readonly open: Map<string, PromiseWithResolvers<Addresses>>
  readonly asked: string[]
  readonly answer: (host: string, addresses?: Addresses) => Promise<void>
}

/** A resolver that answers when it is asked to. */
function createResolver(): Resolver {
  const open: Resolver['open'] = new Map()
  const asked: string[] = []
  const lookup = createHostLookup({
    monotonic: () => performance.now(),
    lookup(host) {
      asked.push(host)
      const reply = Promise.withResolvers<Addresses>()
      open.set(host, reply)
      return reply.promise
    },
  })
  async function answer(host: string, addresses = HERE): Promise<void> {
    open.get(host)!.resolve(addresses)
    open.delete(host)
    await vi.advanceTimersByTimeAsync(0)
  }
  return { lookup, open, asked, answer }
}

describe('an answer', () => {
  test('is remembered for five seconds, and asked for again after that', async () => {
    const { lookup, asked, answer } = createResolver()
    const first = lookup('a.local', 'a', never)
    await answer('a.local')
    expect(await first).toEqual(HERE)
    await vi.advanceTimersByTimeAsync(4999)
    expect(await lookup('a.local', 'b', never)).toEqual(HERE)
    expect(asked).toEqual(['a.local'])
    await vi.advanceTimersByTimeAsync(1)
    const moved: Addresses = [{ address: '10.0.0.1', family: 4 }]
    const second = lookup('a.local', 'a', never)
    await answer('a.local', moved)
    expect(await second).toEqual(moved)
  })

  test('that there is none is remembered as well', async () => {
    const { lookup, asked, open } = createResolver()
    const first = lookup('a.local', 'a', never)
    open.get('a.local')!.reject(new Error('ENOTFOUND'))
    await expect(first).rejects.toThrow('ENOTFOUND')
    await expect(lookup('a.local', 'a', never)).rejects.toThrow('ENOTFOUND')
    expect(asked).toEqual(['a.local'])
  })

  test('serves everybody who asked meanwhile', async () => {
    const { lookup, asked, answer } = createResolver()
    const both = [lookup('a.local', 'a', never), lookup('a.local', 'b', never)]
    await answer('a.local')
    expect(await Promise.all(both)).toEqual([HERE, HERE])
    expect(asked).toEqual(['a.local'])
  })
})

describe('at once', () => {
  test('there are two lookups at most', async () => {
    const { lookup, asked, answer } = createResolver()
    const all = ['a.one', 'b.two', 'c.three'].map((host) => lookup(host, host, never))
    expect(asked).toEqual(['a.one', 'b.two'])
    await answer('a.one')
    expect(asked).toEqual(['a.one', 'b.two', 'c.three'])
    await answer('b.two')
    await answer('c.three')
    expect(await Promise.all(all)).toEqual([HERE, HERE, HERE])
  })

  test.each([
    ['one zone', ['a.zone.test', 'b.zone.test'], ['first', 'second']],
    ['one owner', ['a.one.test', 'b.two.test'], ['same', 'same']],
  ])('there is one lookup for %s', async (_name, [one = '', other = ''], [first = '', second = '']) => {
    const { lookup, asked, answer } = createResolver()
    const both = [lookup(one, first, never), lookup(other, second, never)]
    expect(asked).toEqual([one])
    await answer(one)
    expect(asked).toEqual([one, other])
    await answer(other)
    expect(await Promise.all(both)).toEqual([HERE, HERE])
  })
})

describe('while the names of a zone hang', () => {
  test('everybody else is served, and the neighbours get their answer at once', async () => {
    const { lookup, asked, answer } = createResolver()
    const dead = Array.from({ length: 40 }, (_, n) =>
      lookup(`w${n}.dead.test`, `owner ${n}`, never).catch((error: unknown) => error),
    )
    const first = lookup('a.mesh.test', 'honest', never)
    expect(asked).toEqual(['w0.dead.test', 'a.mesh.test'])
    await answer('a.mesh.test')
    expect(await first).toEqual(HERE)
    await vi.advanceTimersByTimeAsync(1000)
    // Only the one that occupies a thread is still open.
    for (const refused of await Promise.all(dead.slice(1))) expect(refused).toMatchObject({ code: 'overloaded' })
    await expect(lookup('w40.dead.test', 'late', never)).rejects.toMatchObject({ code: 'overloaded' })
    expect(asked).toEqual(['w0.dead.test', 'a.mesh.test'])
  })

  test('two zones that are known to hang do not get both threads', async () => {
    const { lookup, asked, answer } = createResolver()
    const hanging = [lookup('a.one.test', 'a', never), lookup('a.two.test', 'b', never)]
    await vi.advanceTimersByTimeAsync(1000)
    await answer('a.one.test')
    await answer('a.two.test')
    await Promise.all(hanging)
    const again = [lookup('b.one.test', 'c', never), lookup('b.two.test', 'd', never)]
    const honest = lookup('a.mesh.test', 'honest', never)
    expect(asked.slice(2)).toEqual(['b.one.test', 'a.mesh.test'])
    await answer('a.mesh.test')
    expect(await honest).toEqual(HERE)
    // An answer in time clears the zone.
    await answer('b.one.test')
    expect(asked.at(-1)).toBe('b.two.test')
    await answer('b.two.test')
    expect(await Promise.all(again)).toEqual([HERE, HERE])
  })

  test('who stops waiting gives up its place, and the lookup that runs is not asked for twice', async () => {
    const { lookup, asked, answer } = createResolver()
    const limit = new AbortController()
    const waiting = ['a.zone.test', 'b.zone.test'].map((host) => lookup(host, host, limit.signal))
    limit.abort(new Error('too late'))
    for (const each of waiting) await expect(each).rejects.toThrow('too late')
    const again = lookup('a.zone.test', 'a', never)
    await answer('a.zone.test')
    expect(await again).toEqual(HERE)
    expect(asked).toEqual(['a.zone.test'])
  })

  test('no more than 256 names wait', async () => {
    const { lookup } = createResolver()
    for (let n = 0; n < 258; n++) lookup(`w${n}.z${n}.test`, `${n}`, never).catch(() => undefined)
    await expect(lookup('one.more.test', 'x', never)).rejects.toMatchObject({ code: 'overloaded' })
  })
})

test('the system resolver is asked by default, so that /etc/hosts holds', async () => {
  vi.useRealTimers()
  const lookup = createHostLookup({ monotonic: () => performance.now() })
  const addresses = (await lookup('localhost', 'a', never)).map(({ address }) => address)
  expect(['127.0.0.1', '::1']).toContain(addresses[0])
})
