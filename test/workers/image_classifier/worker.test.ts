// The image classifier through the runtime: real models in their thread, drawn images, and every way a call can end.
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { WorkerDefinition } from '../../../src/worker/define.ts'
import { createModelThread, type ModelThread } from '../../../src/workers/image_classifier/model-thread.ts'
import { createImageClassifier } from '../../../src/workers/image_classifier/worker.ts'
import { call, createTestWorker, start, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { base64, craftPng, drawn, graphic, night, personJpeg, text } from './drawn.ts'
import { DO } from './fake-thread.ts'

type Classification = {
  type: string
  label: string
  confidence: number
  method: string
  box?: { x: number; y: number; width: number; height: number }
}
type Output = {
  classifications: Classification[]
  objects_count?: number
  faces_count?: number
  image: Record<string, unknown>
  processing_time_ms: number
}

const CATEGORY = 'classify:image_category'
const OBJECTS = 'classify:image_objects'
const NSFW_LABELS = ['drawing', 'hentai', 'neutral', 'porn', 'sexy']

let definition: WorkerDefinition
let worker: TestWorker
beforeAll(async () => {
  definition = createImageClassifier({ monotonic: () => 0 })
  worker = await createTestWorker(definition)
})
afterAll(() => definition.close?.())

async function classify(capability: string, image: string, types: string[], more: object = {}): Promise<Output> {
  const answer = await call(worker, capability, { image_data: image, classification_types: types, ...more })
  expect(answer.status, answer.text).toBe(200)
  return answer.json() as Output
}

const graphicPng = () => base64(drawn(512, 512, graphic).png())
const person = async (which: 'body' | 'face') => (await personJpeg(which)).toString('base64')

describe('classify:image_objects', () => {
  test('finds the one person from head to feet, and her face within', async () => {
    const { classifications, ...rest } = await classify(OBJECTS, await person('body'), ['objects', 'faces'])
    expect(rest).toStrictEqual({
      objects_count: 1,
      faces_count: 1,
      image: { format: 'jpeg', width: 1200, height: 1200, frames: 1 },
      processing_time_ms: 0,
    })
    expect(classifications).toMatchObject([
      { type: 'objects', label: 'person', method: 'model' },
      { type: 'faces', label: 'face', method: 'model' },
    ])
    const [body, face] = classifications.map(({ box }) => box!)
    expect(body!.height).toBeGreaterThan(1000)
    expect(face!.x).toBeGreaterThan(500)
    expect(face!.x + face!.width).toBeLessThan(700)
    expect(face!.y + face!.height).toBeLessThan(250)
  })

  test('finds the face in a portrait that lies on its side, as the EXIF orientation says', async () => {
    const turned = sharp(await personJpeg('face'))
      .rotate(270)
      .withMetadata({ orientation: 6 })
      .jpeg()
    const { faces_count, classifications } = await classify(OBJECTS, await base64(turned), ['faces'])
    expect(faces_count).toBe(1)
    expect(classifications[0]!.box!.width).toBeGreaterThan(128)
  })

  test('finds neither person nor face in a graphic', async () => {
    const output = await classify(OBJECTS, await graphicPng(), ['faces', 'objects'])
    expect(output.faces_count).toBe(0)
    expect(output.classifications.map(({ label }) => label)).not.toContain('person')
  })

  test('counts all, though it lists only max_results of each type', async () => {
    const two = await twoPersons()
    const { objects_count, classifications } = await classify(OBJECTS, two, ['objects'], { max_results: 1 })
    expect(objects_count).toBe(2)
    expect(classifications).toHaveLength(1)
  })

  test('says nothing of what was not asked for', async () => {
    const output = await classify(OBJECTS, await graphicPng(), ['faces'])
    expect(output).not.toHaveProperty('objects_count')
  })
})

describe('classify:image_category', () => {
  test('weighs a graphic as one: the scene by rules, nsfw by a model', async () => {
    const { classifications } = await classify(CATEGORY, await graphicPng(), ['scenes', 'nsfw'])
    const scenes = classifications.filter(({ type }) => type === 'scenes')
    const nsfw = classifications.filter(({ type }) => type === 'nsfw')
    expect(scenes[0]).toMatchObject({ label: 'graphic', method: 'heuristic' })
    expect(nsfw.map(({ label }) => label).sort()).toStrictEqual(NSFW_LABELS)
    expect(['drawing', 'neutral']).toContain(nsfw[0]!.label)
    expect(nsfw.every(({ method }) => method === 'model')).toBe(true)
    expect(nsfw.reduce((sum, { confidence }) => sum + confidence, 0)).toBeCloseTo(1, 3)
  })

  test('answers in the order of the types that were asked for, the surest first', async () => {
    const { classifications } = await classify(CATEGORY, await person('face'), ['nsfw', 'scenes'])
    expect([...new Set(classifications.map(({ type }) => type))]).toStrictEqual(['nsfw', 'scenes'])
    expect(classifications[0]).toMatchObject({ type: 'nsfw', label: 'neutral' })
  })

  test('knows a page of text and a dark street', async () => {
    for (const [label, paint] of Object.entries({ text, night })) {
      const { classifications } = await classify(CATEGORY, await base64(drawn(512, 512, paint).png()), ['scenes'])
      expect(classifications[0]).toMatchObject({ type: 'scenes', label })
    }
  })

  test('keeps to max_results', async () => {
    const { classifications } = await classify(CATEGORY, await graphicPng(), ['nsfw'], { max_results: 2 })
    expect(classifications).toHaveLength(2)
  })
})

test('the same image gets the same answer', async () => {
  const image = await person('body')
  const ask = async () => [
    await classify(OBJECTS, image, ['objects', 'faces']),
    await classify(CATEGORY, image, ['scenes', 'nsfw']),
  ]
  expect(await ask()).toStrictEqual(await ask())
})

describe('refusals', () => {
  const refused = async (payload: unknown, capability = CATEGORY) => {
    const { status, json } = await call(worker, capability, payload)
    return { status, ...(json() as { error: string; message: string; retryable: boolean }) }
  }
  const asking = (image: Buffer | string, types = ['scenes']) => ({
    image_data: typeof image === 'string' ? image : image.toString('base64'),
    classification_types: types,
  })

  test('a type of the other capability is INVALID_INPUT, and says where to ask', async () => {
    expect(await refused(asking('', ['scenes']))).toMatchObject({ error: 'INVALID_INPUT' })
    expect(await refused(asking('aaaa', ['scenes', 'faces']))).toStrictEqual({
      status: 400,
      error: 'INVALID_INPUT',
      message: 'this capability serves scenes and nsfw; use the other one for faces',
      retryable: false,
    })
    expect(await refused(asking('aaaa', ['nsfw']), OBJECTS)).toMatchObject({ status: 400, error: 'INVALID_INPUT' })
  })

  const misfits: Record<string, object> = {
    'no types': { image_data: 'aaaa', classification_types: [] },
    'an unknown type': { image_data: 'aaaa', classification_types: ['colours'] },
    'a type twice': { image_data: 'aaaa', classification_types: ['scenes', 'scenes'] },
    'no image': { classification_types: ['scenes'] },
    'max_results of 0': { image_data: 'aaaa', classification_types: ['scenes'], max_results: 0 },
    'an unknown member': { image_data: 'aaaa', classification_types: ['scenes'], gpu: true },
  }
  for (const [what, payload] of Object.entries(misfits)) {
    test(`${what} is INVALID_INPUT`, async () => {
      expect(await refused(payload)).toMatchObject({ status: 400, error: 'INVALID_INPUT', retryable: false })
    })
  }

  test('an image of too many bytes is INVALID_INPUT and names the limit', async () => {
    expect(await refused(asking('a'.repeat(13_333_340)))).toMatchObject({
      status: 400,
      error: 'INVALID_INPUT',
      message: 'input/image_data must NOT have more than 13333336 characters',
    })
  })

  test('what is not an image, or half of one, is INVALID_IMAGE', async () => {
    const half = (await personJpeg('face')).subarray(0, 4000)
    for (const bytes of [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), half]) {
      expect(await refused(asking(bytes))).toMatchObject({ status: 422, error: 'INVALID_IMAGE', retryable: false })
    }
  })

  test('a decompression bomb is IMAGE_TOO_LARGE and names the limit', async () => {
    const bomb = craftPng({ width: 30_000, height: 30_000, raw: Buffer.alloc(1000) })
    expect(await refused(asking(bomb))).toStrictEqual({
      status: 413,
      error: 'IMAGE_TOO_LARGE',
      message: 'the image has a side of 30000 pixels, the limit is 16384',
      retryable: false,
    })
  })

  test('nothing of an image is logged', async () => {
    const image = await graphicPng()
    await classify(CATEGORY, image, ['scenes'])
    await refused(asking(image.slice(0, 400)))
    expect(JSON.stringify(worker.logged())).not.toContain(image.slice(0, 40))
  })
})

describe('when the models fail', () => {
  const opened: ModelThread[] = []
  afterEach(() => Promise.all(opened.splice(0).map((models) => models.close())))

  async function withFakeThread() {
    const models = createModelThread({ entry: new URL('./fake-thread.ts', import.meta.url) })
    opened.push(models)
    const failing = await createTestWorker(createImageClassifier({ models }))
    const imageThat = (what: number) => base64(drawn(2, 2, () => [what, what, what]).png())
    const ask = async (what: number, types: string[], capability = OBJECTS) => ({
      image_data: await imageThat(what),
      classification_types: types,
      capability,
    })
    return { failing, ask }
  }

  test('one that ends at its work is CLASSIFICATION_FAILED, and the next call gets a new one', async () => {
    const { failing, ask } = await withFakeThread()
    const { capability, ...payload } = await ask(DO.exit, ['objects'])
    const answer = await call(failing, capability, payload)
    expect(answer.status).toBe(503)
    expect(answer.json()).toStrictEqual({
      error: 'CLASSIFICATION_FAILED',
      message: 'the model for objects failed; the next call loads it again',
      retryable: true,
    })
    expect(failing.logged()).toContainEqual(
      expect.objectContaining({ event: 'image_model_failed', kind: 'objects', stage: 'look' }),
    )
    const { capability: _, ...good } = await ask(DO.answer, ['objects'])
    expect((await call(failing, capability, good)).status).toBe(200)
  })

  test('one that cannot be loaded is MODEL_UNAVAILABLE', async () => {
    const { failing, ask } = await withFakeThread()
    const { capability, ...payload } = await ask(DO.answer, ['nsfw'], CATEGORY)
    const answer = await call(failing, capability, payload)
    expect(answer.status).toBe(503)
    expect(answer.json()).toStrictEqual({
      error: 'MODEL_UNAVAILABLE',
      message: 'the model for nsfw could not be loaded',
      retryable: true,
    })
  })

  test('a caller that leaves gets its place back, and the next call is served', async () => {
    const { failing, ask } = await withFakeThread()
    const left = new AbortController()
    const { capability, ...payload } = await ask(DO.answer, ['objects'])
    const answers = Array.from({ length: 4 }, () => start(failing, capability, payload, { callerLeft: left.signal }))
    left.abort()
    expect((await Promise.all(answers)).map(({ status }) => status)).toStrictEqual([503, 503, 503, 503])
    await failing.slots.idle()
    expect((await call(failing, capability, payload)).status).toBe(200)
  })

  test('a fifth call at once is BUSY', async () => {
    const { failing, ask } = await withFakeThread()
    const { capability, ...payload } = await ask(DO.answer, ['objects'])
    const answers = await Promise.all(Array.from({ length: 5 }, () => call(failing, capability, payload)))
    expect(answers.map(({ status }) => status).sort()).toStrictEqual([200, 200, 200, 200, 503])
  })
})

/** The same figure twice, side by side. */
async function twoPersons(): Promise<string> {
  const one = await sharp(await personJpeg('body'))
    .resize(400, 400)
    .raw()
    .toBuffer()
  const twice = Buffer.alloc(one.length * 2)
  for (let row = 0; row < 400; row += 1) {
    const line = one.subarray(row * 1200, (row + 1) * 1200)
    twice.set(line, row * 2400)
    twice.set(line, row * 2400 + 1200)
  }
  return base64(sharp(twice, { raw: { width: 800, height: 400, channels: 3 } }).jpeg())
}
