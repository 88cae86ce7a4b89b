// The health checks of docker-compose.observability.yml. The one that is more than a program's own flag is run.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../scripts/tools/run.ts'
import { commandOf, service, together } from '../docker/compose.ts'
import { freePort } from '../../scripts/lab/free-port.ts'
import { imageOf, SERVERS } from './images.ts'

const checks = SERVERS.map((name) => [name, commandOf(service(name, together).healthcheck.test)] as const)

test('are in exec form, by a program that the image has', () => {
  for (const [name, [form, program = '']] of checks) {
    expect({ name, form }).toEqual({ name, form: 'CMD' })
    expect(imageOf(name).tools).toContain(program)
  }
})

test('ask the address at which the container listens', () => {
  const asked = Object.fromEntries(
    checks.map(([name, words]) => [name, /127\.0\.0\.1[:/]\d+/.exec(words.join(' '))?.[0]]),
  )
  expect(asked).toEqual({
    jaeger: '127.0.0.1:13133',
    prometheus: '127.0.0.1:9090',
    alertmanager: '127.0.0.1:9093',
    grafana: '127.0.0.1:3000',
    alloy: '127.0.0.1/12345',
    // Their own flag knows.
    tempo: undefined,
    loki: undefined,
  })
})

describe("Alloy's, run as it stands", () => {
  let status = 200
  const server = createServer((_request, response) => response.writeHead(status).end())
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => server.close())

  const check = async (port: number): Promise<number | null> => {
    const [, shell = '', ...words] = commandOf(service('alloy', together).healthcheck.test)
    return (
      await run(
        shell,
        words.map((word) => word.replace('/12345', `/${port}`)),
      )
    ).code
  }

  test('passes on 200, and fails on 503 and on silence', async () => {
    const { port } = server.address() as AddressInfo
    expect(await check(port)).toBe(0)
    status = 503
    expect(await check(port)).toBe(1)
    expect(await check(await freePort())).toBe(1)
  })
})
