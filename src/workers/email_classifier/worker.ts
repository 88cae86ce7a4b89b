// Classifies mails: classify:email_category by category and tone, classify:spam_detection by spam. A complete message
// is read by convert:email_to_text of another worker, through the controller.
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import type { HandlerContext } from '../../worker/handler.ts'
import { startStopwatch } from '../../worker/stopwatch.ts'
import { createCategoryClassifier } from './category.ts'
import categoryModel from './category-model.json' with { type: 'json' }
import { classify } from './classify.ts'
import { MAX_CONCURRENCY } from './limits.ts'
import { CONVERTER, readMail } from './read-mail.ts'
import {
  CategoryInput,
  CategoryOutput,
  errors,
  SpamInput,
  SpamOutput,
  type ClassificationType,
  type Input,
} from './schemas.ts'
import { createSpamClassifier } from './spam.ts'
import spamModel from './spam-model.json' with { type: 'json' }

type Asked<T extends ClassificationType> = Input & { readonly classification_types: readonly T[] }

/** `monotonic`: milliseconds, for processing_time_ms. */
export function createEmailClassifier({
  monotonic = () => performance.now(),
}: { readonly monotonic?: () => number } = {}): WorkerDefinition {
  const category = createCategoryClassifier(categoryModel.model)
  const classifiers = { category, spam: createSpamClassifier(spamModel.model, category) }

  const emailCategory = defineCapability({
    verb: 'classify',
    name: 'email_category',
    version: '1.0.0',
    description: 'Classifies a mail: category, bill or receipt, tone, priority and language.',
    requires: [CONVERTER],
    input: CategoryInput,
    output: CategoryOutput,
    errors,
    max_concurrency: MAX_CONCURRENCY,
    requires_gpu: false,
    slo: { p95_ms: 500 },
    tags: ['email', 'classification', 'text'],
    estimated_duration_ms: 10,
    handler: answer,
  })

  const spamDetection = defineCapability({
    verb: 'classify',
    name: 'spam_detection',
    version: '1.0.0',
    description: 'Classifies a mail as spam or not spam, or abstains.',
    requires: [CONVERTER],
    input: SpamInput,
    output: SpamOutput,
    errors,
    max_concurrency: MAX_CONCURRENCY,
    requires_gpu: false,
    slo: { p95_ms: 500 },
    tags: ['email', 'classification', 'spam'],
    estimated_duration_ms: 10,
    handler: answer,
  })

  return defineWorker({
    id: 'worker-email-classifier',
    capabilities: [emailCategory, spamDetection],
  })

  async function answer<T extends ClassificationType>(context: HandlerContext<Asked<T>, typeof CONVERTER>) {
    const elapsedMs = startStopwatch(monotonic)
    const { input, signal, inSpan } = context
    const { mail, source, truncated } = await readMail(context)
    const classifications = await inSpan('email.classify', () =>
      classify(classifiers, mail, { types: input.classification_types, signal }),
    )
    return {
      classifications,
      analysis: { source, characters: mail.body.length, truncated },
      processing_time_ms: elapsedMs(),
    }
  }
}
