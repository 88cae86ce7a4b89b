// Turns a mail and the requested types into judgements, and lets other calls run between two of them.
import { setImmediate as otherCalls } from 'node:timers/promises'
import type { CategoryClassifier, CategoryLook } from './category.ts'
import { abstain, type Judgement, type Method } from './judgement.ts'
import { isForeign, judgeLanguage } from './language.ts'
import type { Mail } from './mail.ts'
import { judgePriority } from './priority.ts'
import type { ClassificationType } from './schemas.ts'
import { judgeSentiment } from './sentiment.ts'
import type { SpamClassifier } from './spam.ts'

type Classifiers = { readonly spam: SpamClassifier; readonly category: CategoryClassifier }
type Classification<T extends ClassificationType> = Omit<Judgement, 'evidence'> & { type: T; evidence: string[] }

/** One judgement per type, in the order of the types. @throws the signal's reason when it aborts */
export async function classify<T extends ClassificationType>(
  classifiers: Classifiers,
  mail: Mail,
  { types, signal }: { readonly types: readonly T[]; readonly signal: AbortSignal },
): Promise<Classification<T>[]> {
  await otherCalls(undefined, { signal })
  const judgeAs = createJudge(classifiers, mail)
  const classifications: Classification<T>[] = []
  for (const type of types) {
    await otherCalls(undefined, { signal })
    const { evidence, ...judgement } = judgeAs(type)
    classifications.push({ type, ...judgement, evidence: [...evidence] })
  }
  return classifications
}

// Models and word lists are English: a result for a mail in another language would mean nothing.
function createJudge({ spam, category }: Classifiers, mail: Mail): (type: ClassificationType) => Judgement {
  const language = judgeLanguage(mail)
  const foreign = isForeign(language)
  const inEnglish = (method: Method, judgeIt: () => Judgement) => (foreign ? abstain(method) : judgeIt())
  let look: CategoryLook | undefined
  const lookAt = () => (look ??= category(mail))

  return (type) => {
    switch (type) {
      case 'spam':
        return inEnglish('model', () => spam(mail).judgement)
      case 'category':
        return inEnglish('model', () => lookAt().category())
      case 'bill':
      case 'receipt':
        return inEnglish('model', () => lookAt().kind(type))
      case 'sentiment':
        return inEnglish('lexicon', () => judgeSentiment(mail))
      case 'priority':
        return judgePriority(mail, { foreign })
      case 'language':
        return language
    }
  }
}
