// A zettel belongs to the caller who stored it, as the controller has verified him; others see it only when it is shared.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createZettelManager } from '../../../src/workers/zettel_manager/worker.ts'
import { ANNA, BERT, createBench, type Bench } from '../zettel/place.ts'

let bench: Bench
let [own, shared]: string[] = []
beforeEach(async () => {
  bench = await createBench(createZettelManager, 'manage:sonnet_zettel')
  await bench.start()
  own = await store({ content: 'private word [[Shared]]', title: 'Own', tags: ['t'] })
  shared = await store({ content: 'public word [[Own]]', title: 'Shared', tags: ['t'], shared: true })
})
afterEach(() => bench.close())

async function store(input: object, caller = ANNA): Promise<string> {
  const { body, text, status } = await bench.ask({ operation: 'store', ...input }, caller)
  expect(status, text).toBe(200)
  return body.zettel_id
}
const asBert = (operation: string, input: object = {}) => bench.ask({ operation, ...input }, BERT)
const idsOf = (zettels: { zettel_id: string }[]) => zettels.map(({ zettel_id }) => zettel_id)

describe('another caller', () => {
  test('is told of a private zettel what he is told of none', async () => {
    const answers = [await asBert('retrieve', { zettel_id: own }), await asBert('retrieve', { zettel_id: 'none' })]
    expect(answers.map(({ status, text }) => `${status} ${text}`)).toStrictEqual([
      `404 ${answers[1]!.text}`,
      `404 ${answers[1]!.text}`,
    ])
    const mine = await store({ content: 'mine' }, BERT)
    for (const input of [
      { zettel_id: mine, target_id: own },
      { zettel_id: own, target_id: mine },
    ]) {
      expect(await asBert('link', input)).toMatchObject({ status: 404, text: answers[1]!.text })
    }
    expect(await asBert('backlinks', { zettel_id: own })).toMatchObject({ status: 404, text: answers[1]!.text })
  })

  test('lists, searches and counts what is shared only', async () => {
    const listed = await asBert('list', { tags: ['t'] })
    expect(listed.body.data.total).toBe(1)
    expect(idsOf(listed.body.data.zettels)).toStrictEqual([shared])
    expect(idsOf((await asBert('search', { query: 'word' })).body.data.hits)).toStrictEqual([shared])
    expect((await asBert('search', { query: 'private' })).body.data.hits).toStrictEqual([])
  })

  test('reads what is shared, without the links to and from what is not', async () => {
    const { body } = await asBert('retrieve', { zettel_id: shared })
    expect(body.data).toMatchObject({
      zettel: { content: 'public word [[Own]]', stored_by: ANNA, shared: true },
      links: [{ target: 'Own', zettel_ids: [] }],
      backlinks: [],
    })
    const { body: seen } = await bench.ask({ operation: 'retrieve', zettel_id: shared })
    expect(seen.data).toMatchObject({ links: [{ target: 'Own', zettel_ids: [own] }], backlinks: [own] })
  })

  test('links to what is shared, and cannot change it', async () => {
    const mine = await store({ content: 'mine' }, BERT)
    expect((await asBert('link', { zettel_id: mine, target_id: shared })).body.data.added).toBe(true)
    expect((await asBert('link', { zettel_id: shared, target_id: mine })).status).toBe(404)
    const { body } = await bench.ask({ operation: 'retrieve', zettel_id: shared })
    expect(body.data.backlinks).toStrictEqual([own])
  })

  test('does not become the owner by what he writes', async () => {
    const { status } = await asBert('store', { content: 'x', stored_by: ANNA })
    expect(status).toBe(400)
    const { body } = await asBert('store', { content: `---\nstored_by: ${ANNA}\nshared: true\n---\nx`, title: 'Trick' })
    expect(body.data.zettel).toMatchObject({ stored_by: BERT, shared: false })
    await bench.start()
    expect((await bench.ask({ operation: 'retrieve', zettel_id: body.zettel_id })).status).toBe(404)
    expect((await asBert('retrieve', { zettel_id: body.zettel_id })).status).toBe(200)
  })
})
