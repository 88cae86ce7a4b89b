// GET /workers and GET /capabilities: pages of what is live, for any verified peer.
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { catalogRoutes, type CatalogRoutesOptions } from '../../../src/controller/routes/catalog.ts'
import { AppError } from '../../../src/core/errors.ts'
import { createRoutedApp } from '../../fixtures/routed-app.ts'

let app: FastifyInstance
afterEach(() => app.close())

async function setUp(over: Partial<CatalogRoutesOptions> = {}) {
  const options: CatalogRoutesOptions = {
    workers: () => ({ workers: [] }),
    capabilities: () => ({ capabilities: [] }),
    ...over,
  }
  app = await createRoutedApp((scope) => scope.register(catalogRoutes, options))
  return (url: string) => app.inject({ url })
}

test.each(['workers', 'capabilities'] as const)(
  '/%s hands the page that is asked for on, and its answer back',
  async (name) => {
    const asked: object[] = []
    const get = await setUp({
      [name]: (query: object) => {
        asked.push(query)
        return { [name]: [], next: 'c' }
      },
    })
    const answer = await get(`/${name}?limit=10&after=b`)
    expect(answer.json()).toEqual({ [name]: [], next: 'c' })
    expect(asked).toEqual([{ limit: '10', after: 'b' }])
  },
)

test.each(['workers', 'capabilities'])('/%s refuses what it does not know, and a page that cannot be', async (name) => {
  const refuse = (): never => {
    throw new AppError('request_invalid', 'limit must be from 1 to 1000')
  }
  const get = await setUp({ workers: refuse, capabilities: refuse })
  expect((await get(`/${name}?url=1`)).json()).toMatchObject({ error: 'request_invalid' })
  expect((await get(`/${name}?limit=0`)).json()).toMatchObject({ reason: 'limit must be from 1 to 1000' })
})

test('an entry with a member that the schema does not know is never sent', async () => {
  const worker = {
    worker_id: 'w',
    spiffe_id: 's',
    state: 'live' as const,
    cause: 'registered' as const,
    since: '2026-11-23T10:00:00.000Z',
    capabilities: [],
    labels: {},
    weight: 1,
    in_flight: 0,
    registered_at: '',
    last_heartbeat_at: '',
    lease: 'secret',
  }
  const get = await setUp({ workers: () => ({ workers: [worker] }) })
  expect((await get('/workers')).body).not.toContain('secret')
})
