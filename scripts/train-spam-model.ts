// Trains the spam model of the email_classifier worker on four fifths of the corpus, and measures it on the held-out fifth.
//   node scripts/train-spam-model.ts           writes src/workers/email_classifier/spam-model.json
//   node scripts/train-spam-model.ts --check   trains again and compares byte for byte; exit 1 when they differ
import { join } from 'node:path'
import { abstain } from '../src/workers/email_classifier/judgement.ts'
import { isForeign, judgeLanguage } from '../src/workers/email_classifier/language.ts'
import type { BayesModel } from '../src/workers/email_classifier/naive-bayes.ts'
import { spamTerms } from '../src/workers/email_classifier/spam-features.ts'
import { createSpamClassifier, SPAM_CLASSES, SPAM_THRESHOLD } from '../src/workers/email_classifier/spam.ts'
import { modelText, runTraining } from './email-models/model-file.ts'
import { readRawMail } from './email-models/raw-mail.ts'
import { corpusVersion, CORPUS, loadCorpus, SPLIT_SEED, type CorpusMail } from './email-models/spam-corpus.ts'
import { spamMetrics, type SpamMetrics } from './email-models/spam-metrics.ts'
import { trainBayes } from './email-models/training.ts'

export const SPAM_MODEL = join(import.meta.dirname, '../src/workers/email_classifier/spam-model.json')
// Chosen by cross-validation within the training mails; the held-out ones had no say.
const OPTIONS = { classes: SPAM_CLASSES, smoothing: 0.1, maxTerms: 8_000, minExamples: 3, folds: 4 }

/** What the worker's classifiers make of mails that the model has not seen. */
export function measureSpam(model: BayesModel, mails: readonly CorpusMail[]): SpamMetrics {
  const lookAt = createSpamClassifier(model)
  return spamMetrics(
    mails.map(({ spam, bytes }) => {
      const mail = readRawMail(bytes)
      const look = lookAt(mail)
      return {
        spam,
        takenForSpam: look.spam,
        judgement: isForeign(judgeLanguage(mail)) ? abstain('model') : look.judgement,
      }
    }),
  )
}

async function train(): Promise<{ text: string; summary: string }> {
  const { training, heldOut } = await loadCorpus()
  const examples = training.map(({ spam, bytes }) => ({ label: spam ? 1 : 0, terms: spamTerms(readRawMail(bytes)) }))
  const model = trainBayes(examples, OPTIONS)
  const held_out = measureSpam(model, heldOut)
  const text = await modelText(SPAM_MODEL, {
    about: {
      made_by: 'scripts/train-spam-model.ts: do not edit',
      corpus: CORPUS.name,
      package: `${CORPUS.package}@${await corpusVersion()}`,
      licence: CORPUS.licence,
      split_seed: SPLIT_SEED,
      mails: { training: countsOf(training), held_out: countsOf(heldOut) },
      threshold: SPAM_THRESHOLD,
    },
    metrics: { held_out },
    model,
  })
  return { text, summary: `accuracy ${held_out.accuracy} on ${heldOut.length} held-out mails` }
}

function countsOf(mails: readonly CorpusMail[]): { spam: number; not_spam: number } {
  const spam = mails.filter((mail) => mail.spam).length
  return { spam, not_spam: mails.length - spam }
}

if (import.meta.main) process.exitCode = await runTraining(SPAM_MODEL, 'train-spam-model.ts', train)
