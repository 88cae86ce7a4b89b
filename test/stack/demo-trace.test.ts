// `npm run demo -- --trace --opa` with a real Jaeger and a real OPA: it ends with 0 only if every trace was found.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

async function runDemo(...args: string[]) {
  const child = spawn(process.execPath, ['scripts/demo.ts', '--trace', '--opa', '--once', '--port', '0', ...args], {
    cwd: ROOT,
    // Somebody else's collector and sampler are not the demo's.
    env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_TRACES_SAMPLER: 'always_off' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, stdout, stderr }
}

type Call = { readonly trace_id: string; readonly trace_url: string }

test('each call comes with the link to its trace, which Jaeger has found', async () => {
  const { code, stdout, stderr } = await runDemo('--json')
  expect({ code, stderr }).toMatchObject({ code: 0 })
  const { allowed, denied, streamed, engine } = JSON.parse(stdout) as Record<
    'allowed' | 'denied' | 'streamed',
    Call
  > & {
    engine: string
  }
  expect(engine).toBe('opa-http')
  for (const { trace_id, trace_url } of [allowed, denied, streamed]) {
    expect(trace_url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:\\d+/(api/traces|trace)/${trace_id}$`))
  }
})

test('people see which services each trace has spans of', async () => {
  const { code, stdout, stderr } = await runDemo()
  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(stdout.match(/spans of .*(?=\))/g)).toEqual([
    'spans of crank-cli, crank-controller, crank-worker-hello-world, opa',
    'spans of crank-cli, crank-controller, opa',
    'spans of crank-cli, crank-controller, crank-worker-streaming, opa',
  ])
})
