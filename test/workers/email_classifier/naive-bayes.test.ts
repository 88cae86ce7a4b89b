import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { trainBayes, type Example } from '../../../scripts/email-models/training.ts'
import { createBayes, softmax, type BayesModel } from '../../../src/workers/email_classifier/naive-bayes.ts'

const OPTIONS = { classes: ['cat', 'dog'], smoothing: 0.1, maxTerms: 100, minExamples: 1, folds: 2 }
const EXAMPLES: readonly Example[] = [
  ...['meow purr', 'meow fur', 'purr fur', 'meow milk'].map((text) => ({ label: 0, terms: new Set(text.split(' ')) })),
  ...['bark fur', 'bark bone', 'bark tail', 'bone fur'].map((text) => ({ label: 1, terms: new Set(text.split(' ')) })),
]
const model: BayesModel = trainBayes(EXAMPLES, OPTIONS)

describe('a model', () => {
  test('tells classes apart by the terms that they use', () => {
    const { weigh } = createBayes(model)
    expect(weigh(new Set(['meow'])).probabilities[0]).toBeGreaterThan(0.5)
    expect(weigh(new Set(['bark', 'bone'])).probabilities[1]).toBeGreaterThan(0.5)
  })

  test('says what the classes are like where it knows no term', () => {
    const { probabilities, known } = createBayes(model).weigh(new Set(['quack']))
    expect(probabilities).toStrictEqual([0.5, 0.5])
    expect(known).toBe(0)
  })

  test('names the terms that speak for a class, and no others', () => {
    const { speakingFor } = createBayes(model)
    expect(speakingFor(1, new Set(['bark', 'meow', 'quack', 'bone']), 5)).toStrictEqual(['bark', 'bone'])
    expect(speakingFor(1, new Set(['bark', 'bone']), 1)).toStrictEqual(['bark'])
  })

  test('is the same for the same examples', () => {
    expect(trainBayes(EXAMPLES, OPTIONS)).toStrictEqual(model)
  })

  test('holds the terms that tell most, as many as it may', () => {
    const { terms } = trainBayes(EXAMPLES, { ...OPTIONS, maxTerms: 2 })
    expect(terms).toStrictEqual(['bark 0 3 meow 3 0'])
  })

  test('is refused when a count is missing', () => {
    expect(() => createBayes({ ...model, terms: ['bark 0'] })).toThrow('a count for every class')
  })
})

test('probabilities sum up to one, however far apart the scores', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9 }), (scores) => {
      const sum = softmax(scores).reduce((total, share) => total + share, 0)
      expect(sum).toBeCloseTo(1)
    }),
  )
})
