// What one capability has done: burn rates, attainment, and what survives a change of the SLO.
import { describe, expect, test } from 'vitest'
import { SloTrack } from '../../../src/controller/slo/slo-track.ts'
import type { Objective, Target } from '../../../src/slo/slo.ts'
import { slo } from './slos.ts'

const MINUTE = 60_000
const HOUR = 3_600_000

describe('a track', () => {
  test('burns at 1 when exactly the allowed share fails, and at most at 1 / (1 - objective)', () => {
    const track = new SloTrack(slo(), 0)
    for (let call = 0; call < 99; call += 1) track.record('good', 1, 0)
    track.record('bad', undefined, 0)
    expect(track.burn('availability', '5m', 0)).toBeCloseTo(1)
    const failing = new SloTrack(slo(), 0)
    failing.record('bad', undefined, 0)
    expect(failing.burn('availability', '1h', 0)).toBeCloseTo(100)
    expect(failing.burn('p95', '1h', 0)).toBe(0)
  })

  test('forgets by window: five minutes later the short one is empty, the hour is not', () => {
    const track = new SloTrack(slo(), 0)
    track.record('bad', undefined, 0)
    const at = 6 * MINUTE
    expect(track.burn('availability', '5m', at)).toBe(0)
    expect(track.burn('availability', '30m', at)).toBeCloseTo(100)
    expect(track.burn('availability', '1h', 2 * HOUR)).toBe(0)
    expect(track.burn('availability', '6h', 2 * HOUR)).toBeCloseTo(100)
  })

  test('counts an answer as slow only above the limit, and an answer that no worker gave as neither', () => {
    const track = new SloTrack(slo(), 0)
    for (const ms of [1, 100, 100.1, 5000]) track.record('good', ms, 0)
    track.record('good', undefined, 0)
    expect(track.attained('p95', 0)).toEqual({ missed: 2, calls: 4 })
    expect(track.attained('availability', 0)).toEqual({ missed: 0, calls: 5 })
    expect(track.burn('p95', '1h', 0)).toBeCloseTo(0.5 / 0.05)
    expect(track.latency('p95', 0)).toBeGreaterThan(5000)
  })

  test('keeps its budget for the whole window, and no longer', () => {
    const track = new SloTrack(slo(), 0)
    track.record('bad', undefined, 0)
    expect(track.attained('availability', 29 * 24 * HOUR)).toEqual({ missed: 1, calls: 1 })
    expect(track.attained('availability', 31 * 24 * HOUR)).toEqual({ missed: 0, calls: 0 })
  })

  test('keeps what it counted when the objective changes, but not slow calls of another limit', () => {
    const track = new SloTrack(slo(), 0)
    track.record('good', 500, 0)
    track.record('bad', undefined, 0)
    track.follow(
      slo({
        owner: 'team-b',
        targets: new Map([
          ['availability', { target: 0.5, limitMs: undefined }],
          ['p95', { target: 0.95, limitMs: 100 }],
        ]),
      }),
      0,
    )
    expect(track.burn('availability', '1h', 0)).toBeCloseTo(1)
    expect(track.attained('p95', 0)).toEqual({ missed: 1, calls: 1 })
    const later: [Objective, Target][] = [['p95', { target: 0.95, limitMs: 1000 }]]
    track.follow(slo({ targets: new Map([...slo().targets, ...later]) }), 0)
    expect(track.attained('p95', 0)).toEqual({ missed: 0, calls: 0 })
    expect(track.attained('availability', 0)).toEqual({ missed: 1, calls: 2 })
    expect(track.total('availability')).toEqual({ missed: 1, calls: 2 })
  })

  test('begins the budget again with another window', () => {
    const track = new SloTrack(slo(), 0)
    track.record('bad', undefined, 0)
    track.follow(slo({ windowMs: 7 * 24 * HOUR }), 0)
    expect(track.attained('availability', 0)).toEqual({ missed: 0, calls: 0 })
    expect(track.burn('availability', '1h', 0)).toBeCloseTo(100)
  })
})
