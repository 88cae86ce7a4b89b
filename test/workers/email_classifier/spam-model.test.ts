// The claim of the spam model, counted again: on the mails of the corpus that it was not trained on.
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { rawBody } from '../../../scripts/email-models/raw-mail.ts'
import { loadCorpus, splitCorpus, type SplitCorpus } from '../../../scripts/email-models/spam-corpus.ts'
import type { SpamMetrics } from '../../../scripts/email-models/spam-metrics.ts'
import {
  chooseThreshold,
  loadCategoryClassifier,
  measureSpam,
  readMails,
  SPAM_MODEL,
} from '../../../scripts/train-spam-model.ts'
import { loadOwnMails, type OwnMails } from '../../../scripts/email-models/own-mails.ts'
import type { CategoryClassifier } from '../../../src/workers/email_classifier/category.ts'
import { createSpamClassifier, type SpamModel } from '../../../src/workers/email_classifier/spam.ts'
import { GOOD_MAILS, SPAM_MAILS } from './mails-of-today.ts'

type Sizes = Record<'training' | 'own_training' | 'calibration' | 'held_out', { spam: number; not_spam: number }>
type SpamModelFile = {
  about: { mails: Sizes; own_weight: number; split_seed: string }
  metrics: { held_out: SpamMetrics; calibration: SpamMetrics }
  model: SpamModel
}

let corpus: SplitCorpus
let file: SpamModelFile
let own: OwnMails
let category: CategoryClassifier
let measured: SpamMetrics
beforeAll(async () => {
  corpus = await loadCorpus()
  file = JSON.parse(await readFile(SPAM_MODEL, 'utf8')) as SpamModelFile
  own = await loadOwnMails(file.about.split_seed)
  category = await loadCategoryClassifier()
  measured = measureSpam(file.model, category, readMails(corpus.heldOut))
})

describe('the spam model', () => {
  test('is right about at least 97 % of the held-out tenth', () => {
    expect(measured.accuracy).toBeGreaterThanOrEqual(0.97)
    expect(measured.precision).toBeGreaterThanOrEqual(0.97)
    expect(measured.recall).toBeGreaterThanOrEqual(0.95)
  })

  test('is right about at least 99 % of what it does not abstain from, and accuses no good mail', () => {
    const { accuracy, answered, counts } = measured.with_abstention
    expect(accuracy).toBeGreaterThanOrEqual(0.99)
    expect(counts.not_spam_accused).toBe(0)
    expect(answered).toBeGreaterThanOrEqual(0.85)
  })

  test('is right as often as it is sure, and not surer than it is right', () => {
    const { accuracy, mean_confidence } = measured.with_abstention
    expect(accuracy).toBeGreaterThanOrEqual(mean_confidence)
    expect(accuracy - mean_confidence).toBeLessThan(0.02)
  })

  test('has the threshold that mails give which it was not trained on', () => {
    const calibration = [...readMails(corpus.calibration), ...own.calibration]
    expect(file.model.threshold).toBe(chooseThreshold(file.model, category, calibration))
    expect(file.metrics.calibration).toStrictEqual(measureSpam(file.model, category, calibration))
    expect(file.metrics.calibration.with_abstention.counts.not_spam_accused).toBe(0)
  })

  test('has the figures in its file that are counted here', () => {
    expect(file.metrics.held_out).toStrictEqual(measured)
  })
})

describe('mails of today', () => {
  const verdicts = (mails: typeof GOOD_MAILS) => {
    const lookAt = createSpamClassifier(file.model, category)
    return mails.map((mail) => ({ subject: mail.subject, value: lookAt(mail).judgement.value }))
  }

  test('that are good are never called spam: receipts, invoices, job offers, reminders, mortgage papers', () => {
    expect(verdicts(GOOD_MAILS).filter(({ value }) => value === 'spam')).toStrictEqual([])
  })

  test('of a kind that people wait for are left alone even where the model alone would be sure', () => {
    const [receipt] = GOOD_MAILS
    if (receipt === undefined) throw new Error('there is no mail')
    const sure = createSpamClassifier({ ...file.model, threshold: 0 }, category)
    expect(sure(receipt).spam).toBe(true)
    expect(sure(receipt).judgement).toMatchObject({ value: 'unknown', abstained: true })
  })

  test('that are spam are found', () => {
    expect(verdicts(SPAM_MAILS).filter(({ value }) => value !== 'spam')).toStrictEqual([])
  })
})

describe('the held-out fifth', () => {
  test('is a fifth of every mail that there is, half for the threshold and half for the figures', () => {
    const { training, calibration, heldOut } = corpus
    expect(training.length + calibration.length + heldOut.length).toBe(6_046)
    for (const half of [calibration, heldOut]) {
      expect(half.length).toBeGreaterThanOrEqual(6_046 / 10)
      expect(half.length).toBeLessThan(6_046 / 10 + 50)
    }
    const counted = (mails: readonly { spam: boolean }[]) => ({
      spam: mails.filter(({ spam }) => spam).length,
      not_spam: mails.filter(({ spam }) => !spam).length,
    })
    const { own_weight } = file.about
    expect(file.about.mails).toStrictEqual({
      training: counted(training),
      own_training: counted(own.training),
      calibration: counted([...calibration, ...own.calibration]),
      held_out: counted(heldOut),
    })
    const trained = (kind: 'spam' | 'not_spam') => counted(training)[kind] + own_weight * counted(own.training)[kind]
    expect(file.model.texts).toStrictEqual([trained('not_spam'), trained('spam')])
  })

  test('holds no mail whose text was trained on', () => {
    const bodies = new Set(corpus.training.map(({ bytes }) => rawBody(bytes).trim()))
    const others = [...corpus.calibration, ...corpus.heldOut]
    expect(others.filter(({ bytes }) => bodies.has(rawBody(bytes).trim()))).toStrictEqual([])
  })

  test('is drawn by the seed', () => {
    const ids = (mails: SplitCorpus['heldOut']) => new Set(mails.map(({ id }) => id))
    const other = splitCorpus([...corpus.training, ...corpus.calibration, ...corpus.heldOut], 'another seed')
    expect(ids(other.heldOut)).not.toStrictEqual(ids(corpus.heldOut))
  })
})
