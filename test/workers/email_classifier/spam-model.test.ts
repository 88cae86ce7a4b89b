// The claim of the spam model, counted again: on the mails of the corpus that it was not trained on.
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { rawBody } from '../../../scripts/email-models/raw-mail.ts'
import { loadCorpus, splitCorpus, type SplitCorpus } from '../../../scripts/email-models/spam-corpus.ts'
import type { SpamMetrics } from '../../../scripts/email-models/spam-metrics.ts'
import { measureSpam, SPAM_MODEL } from '../../../scripts/train-spam-model.ts'
import type { BayesModel } from '../../../src/workers/email_classifier/naive-bayes.ts'

type SpamModelFile = {
  about: { mails: Record<'training' | 'held_out', { spam: number; not_spam: number }> }
  metrics: { held_out: SpamMetrics }
  model: BayesModel
}

let corpus: SplitCorpus
let file: SpamModelFile
let measured: SpamMetrics
beforeAll(async () => {
  corpus = await loadCorpus()
  file = JSON.parse(await readFile(SPAM_MODEL, 'utf8')) as SpamModelFile
  measured = measureSpam(file.model, corpus.heldOut)
})

describe('the spam model', () => {
  test('is right about at least 97 % of the held-out fifth', () => {
    expect(measured.accuracy).toBeGreaterThanOrEqual(0.97)
    expect(measured.precision).toBeGreaterThanOrEqual(0.97)
    expect(measured.recall).toBeGreaterThanOrEqual(0.95)
  })

  test('is right about at least 99 % of what it does not abstain from, which is nine mails in ten', () => {
    const { accuracy, answered } = measured.with_abstention
    expect(accuracy).toBeGreaterThanOrEqual(0.99)
    expect(answered).toBeGreaterThanOrEqual(0.9)
  })

  test('is as sure as it is right, to one in a hundred', () => {
    const { accuracy, mean_confidence } = measured.with_abstention
    expect(Math.abs(accuracy - mean_confidence)).toBeLessThan(0.01)
  })

  test('has the figures in its file that are counted here', () => {
    expect(file.metrics.held_out).toStrictEqual(measured)
  })
})

describe('the held-out fifth', () => {
  test('is a fifth, of every mail that there is', () => {
    const { training, heldOut } = corpus
    expect(training.length + heldOut.length).toBe(6_046)
    expect(heldOut.length).toBeGreaterThanOrEqual(6_046 / 5)
    expect(heldOut.length).toBeLessThan(6_046 / 5 + 50)
    const counted = (mails: SplitCorpus['training']) => ({
      spam: mails.filter(({ spam }) => spam).length,
      not_spam: mails.filter(({ spam }) => !spam).length,
    })
    expect(file.about.mails).toStrictEqual({ training: counted(training), held_out: counted(heldOut) })
    expect(file.model.texts).toStrictEqual([file.about.mails.training.not_spam, file.about.mails.training.spam])
  })

  test('holds no mail whose text was trained on', () => {
    const bodies = new Set(corpus.training.map(({ bytes }) => rawBody(bytes).trim()))
    expect(corpus.heldOut.filter(({ bytes }) => bodies.has(rawBody(bytes).trim()))).toStrictEqual([])
  })

  test('is drawn by the seed', () => {
    const ids = (mails: SplitCorpus['heldOut']) => new Set(mails.map(({ id }) => id))
    const other = splitCorpus([...corpus.training, ...corpus.heldOut], 'another seed')
    expect(ids(other.heldOut)).not.toStrictEqual(ids(corpus.heldOut))
  })
})
