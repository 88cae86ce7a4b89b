// Trains the category model of the email_classifier worker on our own lines in email-models/category-lines.
//   node scripts/train-category-model.ts           writes src/workers/email_classifier/category-model.json
//   node scripts/train-category-model.ts --check   trains again and compares byte for byte; exit 1 when they differ
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CATEGORIES } from '../src/workers/email_classifier/categories.ts'
import { categoryTerms } from '../src/workers/email_classifier/category-features.ts'
import { CATEGORY_THRESHOLD } from '../src/workers/email_classifier/category.ts'
import { highestOf, probabilitiesOf } from '../src/workers/email_classifier/naive-bayes.ts'
import { modelText, runTraining } from './email-models/model-file.ts'
import { crossValidate, round, trainBayes, type Example } from './email-models/training.ts'

export const CATEGORY_MODEL = join(import.meta.dirname, '../src/workers/email_classifier/category-model.json')
const LINES = join(import.meta.dirname, 'email-models/category-lines')
const OPTIONS = { classes: CATEGORIES, smoothing: 0.2, maxTerms: 2_000, minExamples: 1, folds: 10 }

/** Text of the model file. */
export async function trainCategories(): Promise<{ text: string; summary: string }> {
  const examples = await loadExamples()
  const model = trainBayes(examples, OPTIONS)
  const judged = crossValidate(examples, OPTIONS).map(({ example, texts, evidence }) => {
    const probabilities = probabilitiesOf({ texts, independent_terms: model.independent_terms }, evidence)
    const best = highestOf(probabilities)
    return { right: best === example.label, confidence: probabilities[best] ?? 0 }
  })
  const metrics = {
    ...figures(judged),
    with_abstention: figures(judged.filter(({ confidence }) => confidence >= CATEGORY_THRESHOLD)),
    surest: figures(judged.filter(({ confidence }) => confidence >= 0.98)),
  }
  const text = await modelText(CATEGORY_MODEL, {
    about: {
      made_by: 'scripts/train-category-model.ts: do not edit',
      data: 'scripts/email-models/category-lines, written for this project',
      lines: examples.length,
    },
    metrics: { cross_validation: { folds: OPTIONS.folds, ...metrics } },
    model,
  })
  return { text, summary: `accuracy ${metrics.accuracy} in cross-validation` }
}

function figures(judged: readonly { right: boolean; confidence: number }[]) {
  const share = (sum: number): number => round(sum / judged.length, 4)
  return {
    lines: judged.length,
    accuracy: share(judged.filter(({ right }) => right).length),
    mean_confidence: share(judged.reduce((sum, { confidence }) => sum + confidence, 0)),
  }
}

// One of each category in turn, so that every fold contains all of them.
async function loadExamples(): Promise<Example[]> {
  const lines = await Promise.all(
    CATEGORIES.map(async (category) => (await readFile(join(LINES, `${category}.txt`), 'utf8')).trim().split('\n')),
  )
  const longest = Math.max(...lines.map(({ length }) => length))
  return Array.from({ length: longest }, (_, at) =>
    lines.flatMap((texts, label): Example[] => {
      const [subject, body] = texts[at]?.split(' | ') ?? []
      return subject === undefined || body === undefined ? [] : [{ label, terms: categoryTerms({ subject, body }) }]
    }),
  ).flat()
}

if (import.meta.main) {
  process.exitCode = await runTraining(CATEGORY_MODEL, 'train-category-model.ts', trainCategories)
}
