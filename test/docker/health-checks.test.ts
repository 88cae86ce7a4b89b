// The health checks that are Node one-liners, run as they stand against something that is up, not ready, or gone.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'
import { freePort } from '../../scripts/lab/free-port.ts'
import { commandOf, service } from './compose.ts'
import { argumentsOf, execForm } from './dockerfile.ts'

const CHECKS = {
  image: ['CMD', ...execForm(argumentsOf('HEALTHCHECK').at(-1) ?? '')],
  controller: commandOf(service('controller').healthcheck.test),
  'worker-hello-world': commandOf(service('worker-hello-world').healthcheck.test),
  'worker-streaming': commandOf(service('worker-streaming').healthcheck.test),
}
type Name = keyof typeof CHECKS

let status = 200
let asked: (string | undefined)[] = []
const server = createServer((request, response) => {
  asked.push(request.url)
  response.writeHead(status).end()
})
let port: number
let nobody: number

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  port = (server.address() as AddressInfo).port
  nobody = await freePort()
})
afterAll(() => server.close())

/** Exit code of a check, asked at another port than the one in it. */
async function check(name: Name, at: number): Promise<number | null> {
  const [, , ...args] = CHECKS[name]
  const moved = args.map((word) => word.replace(/\b(9001|9443)\b/, String(at)))
  expect(moved).not.toEqual(args)
  return (await run(process.execPath, moved, { env: { CRANK_ADMIN_HOST: '127.0.0.1' } })).code
}

test('all are in exec form, by a program that the image has', () => {
  for (const words of Object.values(CHECKS)) expect(words.slice(0, 3)).toEqual(['CMD', 'node', '-e'])
  expect(service('opa').healthcheck.test?.slice(0, 3)).toEqual(['CMD', '/opa', 'eval'])
  expect(service('pki').healthcheck).toEqual({ disable: true })
})

for (const [name, path] of [
  ['image', '/livez'],
  ['controller', '/readyz'],
] as const) {
  describe(`the check of the ${name}`, () => {
    test(`passes while ${path} says 200, and fails on 503 and on silence`, async () => {
      asked = []
      status = 200
      expect(await check(name, port)).toBe(0)
      status = 503
      expect(await check(name, port)).toBe(1)
      expect(await check(name, nobody)).toBe(1)
      expect(asked).toEqual([path, path])
    })
  })
}

for (const name of ['worker-hello-world', 'worker-streaming'] as const) {
  test(`the check of ${name} passes while something listens`, async () => {
    expect(await check(name, port)).toBe(0)
    expect(await check(name, nobody)).toBe(1)
  })
}
