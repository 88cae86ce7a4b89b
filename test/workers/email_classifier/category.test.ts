import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { CATEGORY_MODEL, trainCategories } from '../../../scripts/train-category-model.ts'
import { CATEGORIES, type Category } from '../../../src/workers/email_classifier/categories.ts'
import { createCategoryClassifier, type CategoryClassifier } from '../../../src/workers/email_classifier/category.ts'
import { rulesFor } from '../../../src/workers/email_classifier/category-rules.ts'
import type { Mail } from '../../../src/workers/email_classifier/mail.ts'
import type { BayesModel } from '../../../src/workers/email_classifier/naive-bayes.ts'
import { CATEGORY_MAILS } from './category-mails.ts'

let text: string
let model: BayesModel
let classifier: CategoryClassifier
beforeAll(async () => {
  text = await readFile(CATEGORY_MODEL, 'utf8')
  model = (JSON.parse(text) as { model: BayesModel }).model
  classifier = createCategoryClassifier(model)
})

const NO_HEADERS = new Map<string, string>()

describe('the category model', () => {
  test('is what its lines give', async () => {
    expect((await trainCategories()).text).toBe(text)
  })

  test('refuses to stand in for one of other categories', () => {
    expect(() => createCategoryClassifier({ ...model, classes: ['work', 'play'] })).toThrow('other categories')
  })

  test('knows at least nine in ten mails that it was not trained on, and is never wrong about more than one of those', () => {
    const judged = CATEGORY_MAILS.map((mail) => ({
      category: mail.category,
      ...classifier({ ...mail, headers: NO_HEADERS }).category(),
    }))
    const answered = judged.filter(({ abstained }) => !abstained)
    expect(answered.length / judged.length).toBeGreaterThanOrEqual(0.9)
    expect(answered.filter(({ category, value }) => category !== value).length).toBeLessThanOrEqual(1)
  })

  for (const kind of ['bill', 'receipt'] as const) {
    test(`tells whether a mail is a ${kind}`, () => {
      const wrong = CATEGORY_MAILS.filter((mail) => {
        const { value, abstained } = classifier({ ...mail, headers: NO_HEADERS }).kind(kind)
        return !abstained && value !== (mail.category === kind ? kind : `not_${kind}`)
      })
      expect(wrong).toStrictEqual([])
    })
  }
})

describe('a rule', () => {
  const vague = { subject: 'zzz', body: 'zzz', headers: NO_HEADERS }
  const cases: Record<string, [mail: Partial<Mail>, rules: string[], category: Category]> = {
    'an amount that is due': [{ body: 'Amount\n  due: 5.' }, ['amount due'], 'bill'],
    'an overdue amount': [{ body: 'Your payment is overdue.' }, ['amount due'], 'bill'],
    'a payment that was made': [{ body: 'Amount paid: 5' }, ['already paid'], 'receipt'],
    'a journey': [{ subject: 'Your boarding pass' }, ['journey'], 'travel'],
    'an offer': [{ body: '20% off, shop now' }, ['offer'], 'promotion'],
    'a regular issue': [{ body: 'In this issue' }, ['regular issue'], 'newsletter'],
    'a code': [{ body: 'Your verification code' }, ['security code or sign-in'], 'notification'],
    'a machine': [{ body: 'This is an automated message.' }, ['sent by a machine'], 'notification'],
    'the tag of a list': [{ subject: 'Re: [sailing] sails' }, ['tag of a list in the subject'], 'discussion'],
    'the address of a list': [
      { headers: new Map([['list-post', '<mailto:list@example.org>']]) },
      ['list that anybody may write to'],
      'discussion',
    ],
    'a way out of a list': [{ headers: new Map([['list-unsubscribe', '<x>']]) }, ['sent to many'], 'newsletter'],
    'an answer': [{ headers: new Map([['in-reply-to', '<1@example.org>']]) }, ['answer to a mail'], 'personal'],
  }
  for (const [what, [mail, rules, category]] of Object.entries(cases)) {
    test(`knows ${what}`, () => {
      const met = rulesFor({ ...vague, ...mail })
      expect(met.map(({ name }) => name)).toStrictEqual(rules)
      expect(met.filter(({ adds }) => (adds[category] ?? 0) <= 0)).toStrictEqual([])
    })
  }

  test('adds to what the words say, and is named with them', () => {
    const words = { ...vague, subject: 'Our letter', body: 'Stories by readers, an essay and an interview.' }
    const without = classifier(words).category()
    const withRule = classifier({ ...words, headers: new Map([['list-unsubscribe', '<x>']]) }).category()
    expect(withRule).toMatchObject({ value: 'newsletter', abstained: false })
    expect(withRule.evidence[0]).toBe('rule: sent to many')
    expect(withRule.confidence).toBeGreaterThan(without.confidence)
  })

  const senders: Record<string, [name: string, value: string]> = {
    'a sender that wants no answer': ['from', 'Robot <no-reply@example.org>'],
    'the mark of a machine': ['auto-submitted', 'auto-generated'],
  }
  for (const [what, header] of Object.entries(senders)) {
    test(`counts ${what} against a personal mail`, () => {
      const mail = {
        subject: 'Weekend',
        body: 'The children would love to see you, and so would Grandma. Miss you! Hugs',
      }
      expect(classifier({ ...mail, headers: NO_HEADERS }).category()).toMatchObject({ value: 'personal' })
      const met = rulesFor({ ...mail, headers: new Map([header]) })
      expect(met).toMatchObject([{ name: 'automatic sender', adds: { personal: -1.5 } }])
    })
  }
})

test('has mails of every category to be tested with', () => {
  expect(new Set(CATEGORY_MAILS.map(({ category }) => category))).toStrictEqual(new Set(CATEGORIES))
})
