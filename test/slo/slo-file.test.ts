// A file of slos/: what it gives, and the line, column and sentence of each fault.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { describeSloFault, readSlo } from '../../src/slo/slo-file.ts'

const WHOLE = `capability: invoke:hello_world
owner: team-a
window: 30d
availability: 0.999
latency:
  p50_ms: 50
  p95_ms: 250
  p99_ms: 1000
error_budget: {fast_burn: 10, slow_burn: 2.5}
shed: [normal, low]
`
const faultsIn = (text: string): string[] => readSlo('x.yaml', text).faults.map(describeSloFault)

describe('an SLO file', () => {
  test('gives every member', () => {
    const { slo, faults } = readSlo('x.yaml', WHOLE)
    expect(faults).toEqual([])
    expect({ ...slo, targets: [...slo!.targets] }).toEqual({
      capability: 'invoke:hello_world',
      owner: 'team-a',
      windowMs: 30 * 86_400_000,
      targets: [
        ['availability', { target: 0.999, limitMs: undefined }],
        ['p50', { target: 0.5, limitMs: 50 }],
        ['p95', { target: 0.95, limitMs: 250 }],
        ['p99', { target: 0.99, limitMs: 1000 }],
      ],
      burn: { fast: 10, slow: 2.5 },
      // In the order in which they are shed, whatever the file's is.
      shed: ['low', 'normal'],
    })
  })

  test('has defaults for what may be left out: the burn rates of the workbook, and nothing is shed', () => {
    const { slo } = readSlo('x.yaml', 'capability: invoke:x\nowner: a\nwindow: 7d\navailability: 0.99\n')
    expect(slo).toMatchObject({ burn: { fast: 14.4, slow: 6 }, shed: [] })
    expect([...slo!.targets.keys()]).toEqual(['availability'])
  })

  const one = (line: string, instead: string): string => {
    expect(WHOLE).toContain(line)
    return WHOLE.replace(line, instead)
  }
  const FAULTS: readonly [what: string, text: string, faults: string[]][] = [
    [
      'no YAML',
      'capability: [',
      [
        'x.yaml:1:14: is not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      ],
    ],
    ['nothing in it', '', ['x.yaml:1:1: must be an object']],
    ['two documents', `${WHOLE}---\n${WHOLE}`, ['x.yaml:11:1: has several documents; write one SLO per file']],
    ['a duplicate member', `${WHOLE}owner: team-b\n`, ['x.yaml:11:1: is not valid YAML: Map keys must be unique']],
    ['no owner', one('owner: team-a\n', ''), ['x.yaml:1:1: owner is missing']],
    ['an empty owner', one('team-a', '""'), ['x.yaml:2:1: owner must not be empty']],
    [
      'an unknown member',
      `${WHOLE}alert: true\n`,
      [
        'x.yaml:11:1: alert is unknown; allowed are capability, owner, window, availability, latency, error_budget and shed',
      ],
    ],
    [
      'an unknown latency',
      one('p50_ms', 'p90_ms'),
      ['x.yaml:6:3: latency.p90_ms is unknown; allowed are p50_ms, p95_ms and p99_ms'],
    ],
    [
      'no capability',
      one('invoke:hello_world', 'hello world'),
      ['x.yaml:1:1: capability must be a capability, such as invoke:hello_world'],
    ],
    [
      'an availability in per cent',
      one('0.999', '99.9'),
      ['x.yaml:4:1: availability must be a share from 0.5 to below 1, such as 0.999 for 99.9 %'],
    ],
    [
      'an availability of one',
      one('0.999', '1'),
      ['x.yaml:4:1: availability must be a share from 0.5 to below 1, such as 0.999 for 99.9 %'],
    ],
    ['a window in words', one('30d', 'a month'), ['x.yaml:3:1: window must be a duration from 1d to 90d, such as 30d']],
    ['a window of an hour', one('30d', '1h'), ['x.yaml:3:1: window must be a duration from 1d to 90d, such as 30d']],
    ['a window of a year', one('30d', '365d'), ['x.yaml:3:1: window must be a duration from 1d to 90d, such as 30d']],
    [
      'a latency as text',
      one('p95_ms: 250', 'p95_ms: 250ms'),
      ['x.yaml:7:3: latency.p95_ms must be a number of milliseconds above 0, at most 300000, such as 250'],
    ],
    [
      'latencies that fall',
      one('p95_ms: 250', 'p95_ms: 20'),
      ['x.yaml:7:3: latency.p95_ms must be at least p50_ms, which is 50'],
    ],
    [
      'burn rates that are swapped',
      one('fast_burn: 10, slow_burn: 2.5', 'fast_burn: 2, slow_burn: 9'),
      ['x.yaml:9:30: error_budget.slow_burn must be below fast_burn, which is 2'],
    ],
    [
      'a burn rate that is never reached',
      one('0.999', '0.95').replace('fast_burn: 10', 'fast_burn: 25'),
      [
        'x.yaml:9:16: error_budget.fast_burn is 25 and never reached: with availability 0.95 the burn rate is at most 20; set it below that',
      ],
    ],
    ['high shed', one('[normal, low]', '[low, high]'), ['x.yaml:10:13: shed.1 must be one of low, normal']],
    [
      'normal shed alone',
      one('[normal, low]', '[normal]'),
      ['x.yaml:10:1: shed must list low with normal: low is shed first'],
    ],
    ['low shed twice', one('[normal, low]', '[low, low]'), ['x.yaml:10:1: shed must not have duplicates']],
    [
      'a bomb of aliases',
      `a: &a [x, x]\nb: &b [${'*a, '.repeat(20)}]\nc: [${'*b, '.repeat(20)}]\n`,
      ['x.yaml:1:1: has more than 10 aliases; write the values out'],
    ],
  ]
  test.each(FAULTS)('with %s says where and what is allowed', (_what, text, faults) => {
    expect(faultsIn(text)).toEqual(faults)
  })

  test('with several faults has them all, in the order of the lines', () => {
    const text = WHOLE.replace('team-a', '7')
      .replace('30d', '3y')
      .replace('0.999', '0')
      .replace('[normal, low]', '[normal]')
    expect(faultsIn(text)).toEqual([
      'x.yaml:2:1: owner must be the name of a person or a team',
      'x.yaml:3:1: window must be a duration from 1d to 90d, such as 30d',
      'x.yaml:4:1: availability must be a share from 0.5 to below 1, such as 0.999 for 99.9 %',
      'x.yaml:10:1: shed must list low with normal: low is shed first',
    ])
  })

  test('with any value gives an SLO or faults with a line that exists, and never throws', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.json().map((json) => stringify(JSON.parse(json))),
      fc
        .dictionary(
          fc.constantFrom('capability', 'owner', 'window', 'latency', 'shed', 'error_budget', 'x'),
          fc.jsonValue(),
        )
        .map((value) => stringify(value)),
    )
    fc.assert(
      fc.property(text, (written) => {
        const { slo, faults } = readSlo('x.yaml', written)
        expect(slo === undefined).toBe(faults.length > 0)
        for (const { line, column } of faults) {
          expect(line).toBeGreaterThanOrEqual(1)
          expect(column).toBeGreaterThanOrEqual(1)
          expect(line).toBeLessThanOrEqual(written.split('\n').length)
        }
      }),
    )
  })
})
