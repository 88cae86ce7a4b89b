// Bodies of megabytes arrive byte for byte in both directions, however they are cut into parts and whoever is slow.
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { seeded } from '../fixtures/seeded.ts'

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  // Sends back what it gets, as it gets it.
  worker = await startFakeWorker(
    mesh,
    (request, response) => {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': request.headers['content-length'],
      })
      request.pipe(response)
    },
    { streaming: true },
  )
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Noise, so that parts which are mixed up or repeated are noticed. */
function noise(size: number, seed: number): Buffer {
  const random = seeded(seed)
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at++) bytes[at] = Math.floor(random() * 256)
  return bytes
}

async function* inParts(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (let part = 0; at < bytes.length; part++) {
    const size = sizes[part % sizes.length]!
    yield bytes.subarray(at, at + size)
    at += size
    if (part % 7 === 0) await nextTurn()
  }
}

type Echo = {
  readonly size: number
  readonly seed: number
  readonly sizes: readonly number[]
  readonly isSlow: boolean
}

/** The hashes of what was sent and of what came back. */
async function echo({ size, seed, sizes, isSlow }: Echo): Promise<[string, string]> {
  const bytes = noise(size, seed)
  const pool = await mesh.client(STREAMING)
  const { body, statusCode } = await pool.request({
    method: 'POST',
    path: '/route/invoke/hello_world',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    body: inParts(bytes, sizes) as never,
  })
  expect(statusCode).toBe(200)
  const parts: Buffer[] = []
  for await (const part of body as AsyncIterable<Buffer>) {
    // A reader that keeps what it got must not see it change.
    parts.push(part)
    if (isSlow) await nextTurn()
  }
  return [sha256(bytes), sha256(Buffer.concat(parts))]
}

test('parts of any size, several calls at once, more than several collections', async () => {
  const call = fc.record({
    size: fc.integer({ min: 1, max: 3 * 1024 * 1024 }),
    seed: fc.nat(),
    sizes: fc.array(fc.integer({ min: 100, max: 200_000 }), { minLength: 1, maxLength: 8 }),
    isSlow: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 5 }), async (calls) => {
      for (const [sent, received] of await Promise.all(calls.map(echo))) expect(received).toBe(sent)
    }),
    { numRuns: 12 },
  )
}, 120_000)
