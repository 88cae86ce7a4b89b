import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bundledLexicon } from '../../../src/workers/philosophical_analyzer/lexicon.ts'
import type { Output } from '../../../src/workers/philosophical_analyzer/schemas.ts'
import { createPhilosophicalAnalyzer } from '../../../src/workers/philosophical_analyzer/worker.ts'
import { call, createTestWorker, start } from '../../../scripts/lab/worker-calls.ts'
import { BY_MARKER, GERMAN, LIVED, NEUTRAL, PERFORMED } from './samples.ts'

const CAPABILITY = 'analyze:philosophy'

async function ask(input: unknown, options?: Parameters<typeof createPhilosophicalAnalyzer>[0]) {
  const worker = await createTestWorker(createPhilosophicalAnalyzer(options))
  const { status, json } = await call(worker, CAPABILITY, input)
  return { status, body: json() as Output & { error: string; message: string }, worker }
}

async function analyse(text: string, more: object = {}): Promise<Output> {
  const { status, body } = await ask({ text, ...more })
  expect(status).toBe(200)
  return body
}

describe('analyze:philosophy', () => {
  for (const [marker, text] of Object.entries(BY_MARKER)) {
    test(`finds ${marker} strongest in a text about it`, async () => {
      const { dna_markers, evidence, analysis_summary } = await analyse(text)
      const ranked = Object.entries(dna_markers).sort((a, b) => b[1] - a[1])
      expect(Object.keys(dna_markers)).toStrictEqual(['SHM', 'TUD', 'IIP', 'AID', 'DHG'])
      expect(ranked[0]![0]).toBe(marker)
      expect(ranked[0]![1]).toBeGreaterThan(0.8)
      expect(ranked[1]![1]).toBeLessThan(0.5)
      expect(evidence.map((item) => item.marker)).toContain(marker)
      expect(analysis_summary).toContain(`(${marker} `)
    })
  }

  test('tells a text that somebody lived from one that performs, on the same subject', async () => {
    const [lived, performed] = [await analyse(LIVED), await analyse(PERFORMED)]
    expect(lived.authenticity_score).toBeGreaterThan(0.8)
    expect(performed.authenticity_score).toBeLessThan(0.2)
    expect(lived.dna_markers['SHM']).toBeGreaterThan(performed.dna_markers['SHM']!)
    expect(lived.analysis_summary).toContain('It reads lived')
    expect(performed.detected_patterns).toContainEqual({
      pattern: 'not_just_but',
      marker: 'performed',
      description: 'Not just this: it is that.',
      occurrences: 1,
    })
  })

  test('finds nothing in a recipe, and says that nothing tells', async () => {
    const { dna_markers, authenticity_score, evidence, analysis_summary } = await analyse(NEUTRAL)
    expect(Object.values(dna_markers)).toStrictEqual([0, 0, 0, 0, 0])
    expect(authenticity_score).toBe(0.5)
    expect(evidence).toStrictEqual([])
    expect(analysis_summary).toMatch(/^No marker stands out\. No evidence shows whether it is lived or performed\./)
  })

  test('is sure of nothing in a language that the lexicon does not know', async () => {
    const { confidence, analysis_summary } = await analyse(GERMAN)
    expect(confidence).toBeLessThan(0.05)
    expect(analysis_summary).toContain('does not look English')
  })

  test('is less sure of a shorter text', async () => {
    const lengths = [60, 150, 300, 600]
    const confidences = await Promise.all(
      lengths.map(async (length) => (await analyse(LIVED.slice(0, length))).confidence),
    )
    expect(confidences).toStrictEqual([...confidences].sort((a, b) => a - b))
    expect(new Set(confidences).size).toBe(lengths.length)
  })

  test('what is denied does not count, and is shown as denied', async () => {
    const says = await analyse('In this house we say that context matters, and it does so on every single day.')
    const denies = await analyse('In this house we never say that context matters, and it does not on any single day.')
    expect(says.evidence).toContainEqual(
      expect.objectContaining({ phrase: 'context matters', points: 2, denied: false }),
    )
    expect(denies.evidence).toContainEqual(
      expect.objectContaining({ phrase: 'context matters', points: 0, denied: true }),
    )
    expect(denies.dna_markers['SHM']).toBe(0)
  })

  test('a phrase that is repeated counts less each time, and not at all from the fourth on', async () => {
    const text = 'Here context matters. There context matters. Then context matters. And context matters.'
    const { evidence, explanation } = await analyse(text)
    const own = evidence.filter(({ marker }) => marker === 'SHM')
    expect(own.map(({ points }) => points)).toStrictEqual([2, 1, 0.5])
    expect(explanation.scores.find(({ marker }) => marker === 'SHM')).toMatchObject({ points: 3.5 })
  })

  test('what is everyday in a domain counts half there', async () => {
    const text = BY_MARKER['AID']!
    const [general, technology] = [await analyse(text), await analyse(text, { context: { domain: 'technology' } })]
    const points = ({ evidence }: Output) => evidence.find(({ matched }) => matched === 'distributed')?.points
    const other = 'The systems of the town are distributed and the people in it are not, as everybody here knows.'
    expect(technology.dna_markers['AID']).toBeLessThanOrEqual(general.dna_markers['AID']!)
    expect(points(await analyse(other))).toBe(2)
    expect(points(await analyse(other, { context: { domain: 'technology' } }))).toBe(1)
  })

  test('a text that keeps naming its author is less in their own voice; the byline is free', async () => {
    const text = 'By Ada Lovelace. Engines weave algebra. Ada Lovelace thinks so, and Ada  Lovelace would know it best.'
    const byline = await analyse('By Ada Lovelace. Engines weave algebra, as looms weave flowers and leaves.', {
      context: { author: 'Ada Lovelace' },
    })
    const named = await analyse(text, { context: { author: 'ADA Lovelace' } })
    expect(byline.evidence).toStrictEqual([])
    const mentions = named.evidence.filter(({ matched }) => matched === 'author_in_third_person')
    expect(mentions.map(({ phrase, points }) => [phrase, points])).toStrictEqual([
      ['Ada Lovelace', 1],
      ['Ada  Lovelace', 0.5],
    ])
    expect(named.authenticity_score).toBeLessThan((await analyse(text)).authenticity_score)
  })

  test('each type of analysis has the scores, and its own members', async () => {
    const members = async (analysis_type: string) => Object.keys(await analyse(LIVED, { analysis_type }))
    const always = [
      'dna_markers',
      'authenticity_score',
      'confidence',
      'explanation',
      'analysis_summary',
      'evidence',
      'detected_patterns',
    ]
    expect(await members('dna_markers')).toStrictEqual([...always, 'secondary_themes'])
    expect(await members('authenticity')).toStrictEqual([...always, 'readiness_thresholds'])
    expect(await members('full_analysis')).toStrictEqual([...always, 'secondary_themes', 'readiness_thresholds'])
    expect(await analyse(LIVED)).toStrictEqual(await analyse(LIVED, { analysis_type: 'full_analysis' }))
  })

  test('says what is missing for each readiness', async () => {
    const { readiness_thresholds } = await analyse(LIVED)
    expect(readiness_thresholds).toMatchObject({
      publication_ready: { reached: false, missing: ['confidence'], authenticity: 0.6 },
      worth_a_second_look: { reached: true, missing: [] },
    })
  })

  test('logs nothing of the text', async () => {
    const { worker } = await ask({ text: `${LIVED} Rumpelstiltskin`, context: { author: 'Rumpelstiltskin' } })
    expect(worker.logged()).toHaveLength(1)
    expect(JSON.stringify(worker.logged())).not.toContain('Rumpelstiltskin')
  })
})

describe('what is refused', () => {
  const refused: [what: string, input: unknown, status: number, error: string, message: RegExp][] = [
    ['no text', {}, 400, 'INVALID_INPUT', /text/],
    ['a text that is too long', { text: 'x'.repeat(200_001) }, 400, 'INVALID_INPUT', /200000/],
    ['an unknown type', { text: LIVED, analysis_type: 'poem' }, 400, 'INVALID_INPUT', /analysis_type/],
    ['an unknown member', { text: LIVED, mood: 'good' }, 400, 'INVALID_INPUT', /mood/],
    ['49 characters', { text: 'x'.repeat(49) }, 422, 'TEXT_TOO_SHORT', /at least 50 characters/],
    ['49 characters in white space', { text: `${' '.repeat(50)}${'x'.repeat(49)}\n\n` }, 422, 'TEXT_TOO_SHORT', /50/],
    ['49 characters of two code units', { text: '🙂'.repeat(49) }, 422, 'TEXT_TOO_SHORT', /50/],
    [
      'an unknown domain',
      { text: LIVED, context: { domain: 'sport' } },
      422,
      'INVALID_CONTEXT',
      /one of general, phil/,
    ],
    [
      'a member of all objects as domain',
      { text: LIVED, context: { domain: 'constructor' } },
      422,
      'INVALID_CONTEXT',
      /domain/,
    ],
    ['an author without a name', { text: LIVED, context: { author: ' - ' } }, 422, 'INVALID_CONTEXT', /author/],
    [
      'an author of seven names',
      { text: LIVED, context: { author: 'a b c d e f g' } },
      422,
      'INVALID_CONTEXT',
      /1 to 6/,
    ],
  ]
  for (const [what, input, status, error, message] of refused) {
    test(`${what}: ${error}`, async () => {
      const answer = await ask(input)
      expect(answer).toMatchObject({ status, body: { error, retryable: false } })
      expect(answer.body.message).toMatch(message)
    })
  }

  test('takes 50 characters', async () => {
    expect((await ask({ text: `\n${'🙂'.repeat(50)}` })).status).toBe(200)
  })

  test('a fault of its own is ANALYSIS_FAILED, without its text', async () => {
    const { status, body } = await ask({ text: LIVED }, { analyse: () => Promise.reject(new Error('secret')) })
    expect({ status, body }).toMatchObject({ status: 500, body: { error: 'ANALYSIS_FAILED', retryable: true } })
    expect(JSON.stringify(body)).not.toContain('secret')
  })

  test('ends when the caller leaves, in the middle of a text', async () => {
    const left = new AbortController()
    const worker = await createTestWorker(createPhilosophicalAnalyzer())
    const answer = start(worker, CAPABILITY, { text: 'self and context '.repeat(11_000) }, { callerLeft: left.signal })
    setImmediate(() => left.abort())
    expect(await answer).toMatchObject({ status: 503 })
    await worker.slots.idle()
  })
})

describe("the operator's own lexicon", () => {
  async function folderWith(lexicon: unknown): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'crank-lexicon-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    await writeFile(join(dir, 'lexicon.json'), JSON.stringify(lexicon))
    return dir
  }
  const sea = {
    name: 'Sea',
    description: 'Water and salt.',
    scale: 2,
    phrases: { 2: ['salt water', 'tide*'] },
  }

  test('gives the answer its markers, names and version', async () => {
    const dir = await folderWith({ ...bundledLexicon, version: 'ours', markers: { SEA: sea } })
    const text = 'The tides bring salt-water to the door, and salt water is what the tide leaves there.'
    const { status, body } = await ask({ text }, { dir })
    expect(status).toBe(200)
    expect(body).toMatchObject({ dna_markers: { SEA: 0.9502 }, explanation: { lexicon_version: 'ours' } })
    expect(body.analysis_summary).toContain('Sea (SEA 0.95), by “tides”')
  })

  test('is not needed', () => {
    expect(() => createPhilosophicalAnalyzer({ dir: '/nowhere' })).not.toThrow()
  })

  const wrong: Record<string, [lexicon: unknown, message: RegExp]> = {
    'an unknown member': [{ ...bundledLexicon, extra: 1 }, /extra/],
    'a phrase in upper case': [{ ...bundledLexicon, domains: { sea: ['Salt'] } }, /domains\/sea\/0 must match/],
    'a phrase of seven words': [{ ...bundledLexicon, domains: { sea: ['a b c d e f g'] } }, /must match/],
    'a regular expression': [{ ...bundledLexicon, domains: { sea: ['(a+)+$'] } }, /must match/],
    'a marker that is a theme, too': [{ ...bundledLexicon, markers: { BIZ: sea } }, /BIZ is both a marker and a theme/],
    'no object': [[], /must be object/],
  }
  for (const [what, [lexicon, message]] of Object.entries(wrong)) {
    test(`is refused with ${what}, by the name of its file`, async () => {
      const dir = await folderWith(lexicon)
      expect(() => createPhilosophicalAnalyzer({ dir })).toThrow(message)
      expect(() => createPhilosophicalAnalyzer({ dir })).toThrow(join(dir, 'lexicon.json'))
    })
  }
})
