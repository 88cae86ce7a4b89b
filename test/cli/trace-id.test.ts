// From a trace to the audit log: what a person has in the end is often the id of x-trace-id, or of a dot in a graph.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { crank } from './in-process.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const OTHER = '4bf92f3577b34da6a3ce929d0e0e4736'

let mesh: Mesh
let decisions: string[]
beforeAll(async () => {
  mesh = await startMesh()
  const call = async (traceId: string, capability: string): Promise<string> => {
    const [verb = '', name = ''] = capability.split(':')
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` }
    const answer = await mesh.route(STREAMING, { verb, capability: name }, headers)
    return answer.headers['x-decision-id'] as string
  }
  decisions = [await call(TRACE, 'convert:document_to_pdf'), await call(TRACE, 'invoke:hello_world')]
  await call(OTHER, 'convert:document_to_pdf')
  await mesh.auditedAs((line) => line.event === 'route_outcome' && line['trace_id'] === TRACE)
  await mesh.auditedAs((line) => line['trace_id'] === OTHER)
}, 60_000)
afterAll(() => mesh.close())

const run = (...args: string[]) => crank(args, { env: { CRANK_STATE_DIR: mesh.dir, CRANK_POLICY_DIR: POLICY_DIR } })
const explain = (...args: string[]) => run('explain', ...args, '--policy', POLICY_DIR)

describe('explain of a trace id', () => {
  test('shows every decision of the trace, in order, and none of another', async () => {
    const { code, stdout } = await explain(TRACE)
    expect(code).toBe(0)
    const shown = [...stdout.matchAll(/^ +decision id +(\S+)/gm)].map(([, id]) => id)
    expect(shown).toEqual(decisions)
    expect(stdout).toMatch(/^deny .*convert:document_to_pdf$/m)
    expect(stdout).toMatch(/^allow .*invoke:hello_world$/m)
  })

  test('of capitals finds it too, and gives one object per decision as JSON', async () => {
    const { code, stdout } = await explain(TRACE.toUpperCase(), '-o', 'json')
    expect(code).toBe(0)
    for (const id of decisions) expect(stdout).toContain(id)
    expect(stdout.match(/"nearest_misses"/g)).toHaveLength(2)
  })

  test('exits with 1 for a trace that the log does not have', async () => {
    const unknown = 'f'.repeat(32)
    const { code, stderr } = await explain(unknown)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`no record of trace ${unknown}`) })
  })
})

describe('audit tail --trace', () => {
  test('prints all records of the trace and no others', async () => {
    const { code, stdout } = await run('audit', 'tail', '--trace', TRACE, '-o', 'json')
    expect(code).toBe(0)
    const records = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(records.map((record) => [record['event'], record['decision_id']])).toEqual([
      ['policy_decision', decisions[0]],
      ['policy_decision', decisions[1]],
      ['route_outcome', decisions[1]],
    ])
  })

  test('refuses what is not a trace id, and says where one is found', async () => {
    const { code, stderr } = await run('audit', 'tail', '--trace', 'abc')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('32 hex digits') })
    expect(stderr).toContain('x-trace-id')
  })
})
