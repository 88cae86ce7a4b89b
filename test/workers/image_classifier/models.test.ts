// The models in this very process: where they come from, and that they leave nothing behind.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadModel, tensorsHeld, type Look } from '../../../src/workers/image_classifier/models.ts'
import { createDecode } from '../../../src/workers/image_classifier/decode.ts'
import type { Picture } from '../../../src/workers/image_classifier/picture.ts'
import { personJpeg } from './drawn.ts'

const KINDS = ['objects', 'faces', 'nsfw'] as const
const looks = new Map<string, Look>()
const fetched: unknown[] = []
let person: Picture

beforeAll(async () => {
  vi.spyOn(console, 'info').mockReturnValue(undefined)
  // nsfwjs names its model on the console: the reason why the thread's console goes nowhere.
  vi.spyOn(console, 'log').mockReturnValue(undefined)
  vi.stubGlobal('fetch', (address: unknown) => {
    fetched.push(address)
    throw new Error('there is no network')
  })
  for (const kind of KINDS) looks.set(kind, await loadModel(kind))
  person = (await createDecode()({ bytes: await personJpeg('body'), format: 'jpeg' })).picture
})
afterAll(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

test('nothing is fetched to load them or to look', async () => {
  for (const look of looks.values()) await look(person)
  expect(fetched).toStrictEqual([])
})

for (const kind of KINDS) {
  test(`${kind}: a look leaves no tensor behind`, async () => {
    const look = looks.get(kind)!
    await look(person)
    const before = tensorsHeld()
    await look(person)
    expect(tensorsHeld()).toBe(before)
  })
}

test('a picture without a face is not looked at twice', async () => {
  const before = tensorsHeld()
  expect(await looks.get('faces')!({ pixels: new Uint8Array(64 * 64 * 3), width: 64, height: 64 })).toStrictEqual([])
  expect(tensorsHeld()).toBe(before)
})
