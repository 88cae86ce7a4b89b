// Trains the spam model of the email_classifier worker on four fifths of the corpus and our own mails, chooses its
// threshold on half of the rest, and measures it on the other half.
//   node scripts/train-spam-model.ts           writes src/workers/email_classifier/spam-model.json
//   node scripts/train-spam-model.ts --check   trains again and compares byte for byte; exit 1 when they differ
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCategoryClassifier, type CategoryClassifier } from '../src/workers/email_classifier/category.ts'
import { abstain } from '../src/workers/email_classifier/judgement.ts'
import { isForeign, judgeLanguage } from '../src/workers/email_classifier/language.ts'
import type { MailText } from '../src/workers/email_classifier/mail.ts'
import type { BayesModel } from '../src/workers/email_classifier/naive-bayes.ts'
import { spamTerms } from '../src/workers/email_classifier/spam-features.ts'
import { createSpamClassifier, SPAM_CLASSES, type SpamModel } from '../src/workers/email_classifier/spam.ts'
import { modelText, runTraining } from './email-models/model-file.ts'
import { loadOwnMails, OWN_MAILS } from './email-models/own-mails.ts'
import { readRawMail } from './email-models/raw-mail.ts'
import { corpusVersion, CORPUS, loadCorpus, SPLIT_SEED, type CorpusMail } from './email-models/spam-corpus.ts'
import { spamMetrics, type SpamMetrics } from './email-models/spam-metrics.ts'
import { round, trainBayes } from './email-models/training.ts'
import { CATEGORY_MODEL } from './train-category-model.ts'

export const SPAM_MODEL = join(import.meta.dirname, '../src/workers/email_classifier/spam-model.json')
// Chosen by cross-validation within the training mails, without the held-out ones.
const OPTIONS = { classes: SPAM_CLASSES, smoothing: 0.1, maxTerms: 8_000, minExamples: 3, folds: 4 }
/** The weight of each of our own mails: they are few, and the corpus has almost none of their kind. */
const OWN_WEIGHT = 8
const LOWEST_THRESHOLD = 0.9
/** The threshold is this many times the odds of the good mail that looked most like spam. */
const MARGIN = 2

export type SpamExample = { readonly spam: boolean; readonly mail: MailText }

/** The category classifier that the spam classifier uses. */
export async function loadCategoryClassifier(): Promise<CategoryClassifier> {
  const { model } = JSON.parse(await readFile(CATEGORY_MODEL, 'utf8')) as { model: BayesModel }
  return createCategoryClassifier(model)
}

export function readMails(mails: readonly CorpusMail[]): SpamExample[] {
  return mails.map(({ spam, bytes }) => ({ spam, mail: readRawMail(bytes) }))
}

/** Results of the worker's classifiers on mails that the model has not seen. */
export function measureSpam(
  model: SpamModel,
  category: CategoryClassifier,
  mails: readonly SpamExample[],
): SpamMetrics {
  const lookAt = createSpamClassifier(model, category)
  return spamMetrics(
    mails.map(({ spam, mail }) => {
      const look = lookAt(mail)
      const foreign = isForeign(judgeLanguage(mail))
      return { spam, takenForSpam: look.spam, judgement: foreign ? abstain('model') : look.judgement }
    }),
  )
}

/** The lowest threshold that accuses no good mail, with a margin: other good mails may look worse than these. */
export function chooseThreshold(
  model: BayesModel,
  category: CategoryClassifier,
  mails: readonly SpamExample[],
): number {
  const lookAt = createSpamClassifier({ ...model, threshold: 0 }, category)
  const suspicions = mails.flatMap(({ spam, mail }) => {
    const { judgement } = lookAt(mail)
    return !spam && judgement.value === 'spam' ? [judgement.confidence] : []
  })
  const worst = Math.max(0, ...suspicions)
  const odds = (MARGIN * worst) / (1 - worst)
  return Math.max(LOWEST_THRESHOLD, round(odds / (1 + odds), 3))
}

async function train(): Promise<{ text: string; summary: string }> {
  const category = await loadCategoryClassifier()
  const corpus = await loadCorpus()
  const own = await loadOwnMails(SPLIT_SEED)
  const training = readMails(corpus.training)
  const examples = [
    ...training.map((one) => exampleOf(one, 1)),
    ...own.training.map((one) => exampleOf(one, OWN_WEIGHT)),
  ]
  const bayes = trainBayes(examples, OPTIONS)
  const calibration = [...readMails(corpus.calibration), ...own.calibration]
  const model: SpamModel = { threshold: chooseThreshold(bayes, category, calibration), ...bayes }
  const heldOut = readMails(corpus.heldOut)
  const held_out = measureSpam(model, category, heldOut)
  const text = await modelText(SPAM_MODEL, {
    about: {
      made_by: 'scripts/train-spam-model.ts: do not edit',
      corpus: CORPUS.name,
      package: `${CORPUS.package}@${await corpusVersion()}`,
      licence: CORPUS.licence,
      own_mails: OWN_MAILS,
      own_weight: OWN_WEIGHT,
      split_seed: SPLIT_SEED,
      mails: {
        training: countsOf(training),
        own_training: countsOf(own.training),
        calibration: countsOf(calibration),
        held_out: countsOf(heldOut),
      },
    },
    metrics: { calibration: measureSpam(model, category, calibration), held_out },
    model,
  })
  const { threshold } = model
  return { text, summary: `accuracy ${held_out.accuracy} on ${heldOut.length} held-out mails, threshold ${threshold}` }
}

function exampleOf({ spam, mail }: SpamExample, weight: number) {
  return { label: spam ? 1 : 0, terms: spamTerms(mail), weight }
}

function countsOf(mails: readonly SpamExample[]): { spam: number; not_spam: number } {
  const spam = mails.filter((mail) => mail.spam).length
  return { spam, not_spam: mails.length - spam }
}

if (import.meta.main) process.exitCode = await runTraining(SPAM_MODEL, 'train-spam-model.ts', train)
