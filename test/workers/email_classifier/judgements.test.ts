// Language, tone and priority: each by a few mails of which there can be no two opinions.
import { describe, expect, test } from 'vitest'
import { judgeLanguage } from '../../../src/workers/email_classifier/language.ts'
import { judgePriority } from '../../../src/workers/email_classifier/priority.ts'
import { judgeSentiment } from '../../../src/workers/email_classifier/sentiment.ts'
import { SENTENCES } from './language-sentences.ts'

const say = (body: string, subject = '') => ({ subject, body })

describe('language', () => {
  for (const [language, sentences] of Object.entries(SENTENCES)) {
    test(`${language} is known by one sentence, or not at all`, () => {
      const values = sentences.map((sentence) => judgeLanguage(say(sentence)).value)
      expect(values.filter((value) => value !== language && value !== 'unknown')).toStrictEqual([])
      expect(values.filter((value) => value === language).length).toBeGreaterThanOrEqual(sentences.length - 1)
    })
  }

  for (const text of [
    '',
    'ok',
    '12345 67-89',
    'https://example.org/une/page/en/francais',
    'a@b.example c@d.example',
    '%%% ### ***',
  ]) {
    test(`is unknown of ${JSON.stringify(text)}`, () => {
      expect(judgeLanguage(say(text))).toMatchObject({ value: 'unknown', abstained: true })
    })
  }

  test('is that of the sender, not of what is quoted', () => {
    const quoted = SENTENCES['de']!.map((sentence) => `> ${sentence}`).join('\n')
    expect(judgeLanguage(say(`${quoted}\n\n${SENTENCES['fr']!.join('\n')}`)).value).toBe('fr')
  })
})

describe('sentiment', () => {
  const tones: Record<string, [text: string, value: string]> = {
    praise: ['The service was excellent and we really enjoyed our stay. Wonderful people!', 'positive'],
    blame: ['This is unacceptable. The support is terrible and I am very disappointed.', 'negative'],
    both: ['The room was excellent and lovely, but the food was terrible and the staff rude.', 'mixed'],
    neither: ['The meeting is moved from Tuesday to Wednesday. The room stays the same as before.', 'neutral'],
    'praise that is denied': ['I am not happy with it and would never recommend it to anybody.', 'negative'],
  }
  for (const [what, [text, value]] of Object.entries(tones)) {
    test(`of ${what} is ${value}`, () => {
      expect(judgeSentiment(say(text))).toMatchObject({ value, abstained: false, method: 'lexicon' })
    })
  }

  test('is what the sender wrote, not what is quoted or signed', () => {
    const body =
      '> This is terrible, awful, the worst.\n\nI will look at it on Monday morning.\n-- \nThe best, greatest, most wonderful company'
    expect(judgeSentiment(say(body)).value).toBe('neutral')
  })

  test('is unknown of three words', () => {
    expect(judgeSentiment(say('so it is'))).toMatchObject({ value: 'unknown', abstained: true })
  })

  test('names the words that it goes by', () => {
    expect(judgeSentiment(say('An awful day, not good at all, simply awful.')).evidence).toStrictEqual([
      'awful',
      'not good',
    ])
  })
})

describe('priority', () => {
  const judge = (mail: { subject?: string; body?: string; headers?: Record<string, string> }, foreign = false) =>
    judgePriority(
      { subject: mail.subject ?? '', body: mail.body ?? '', headers: new Map(Object.entries(mail.headers ?? {})) },
      { foreign },
    )
  const cases: Record<string, [mail: Parameters<typeof judge>[0], value: string, rule: string | undefined]> = {
    'an urgent subject': [{ subject: 'URGENT: server room' }, 'high', 'rule: urgent subject'],
    'X-Priority 1': [{ headers: { 'x-priority': '1 (Highest)' } }, 'high', 'rule: marked as important'],
    'Importance high': [{ headers: { importance: 'High' } }, 'high', 'rule: marked as important'],
    'a near deadline and an outage': [
      { body: 'There is an outage. Please call by tonight.' },
      'high',
      'rule: near deadline',
    ],
    'Priority non-urgent': [{ headers: { priority: 'non-urgent' } }, 'low', 'rule: marked as unimportant'],
    'a mail to many': [{ headers: { 'list-unsubscribe': '<x>' } }, 'low', 'rule: sent to many'],
    'a way to unsubscribe': [{ body: 'To unsubscribe click here' }, 'low', 'rule: unsubscribe'],
    'no hurry': [{ body: 'Just for your information.' }, 'low', 'rule: no hurry'],
    'nothing special': [{ subject: 'Lunch', body: 'See you at one.' }, 'normal', undefined],
  }
  for (const [what, [mail, value, rule]] of Object.entries(cases)) {
    test(`of ${what} is ${value}`, () => {
      const judged = judge(mail)
      expect(judged).toMatchObject({ value, abstained: false, method: 'rules' })
      expect(judged.evidence[0]).toBe(rule)
    })
  }

  test('is unknown in a language whose phrases are not known, unless the headers say it', () => {
    expect(judge({ body: 'Bis morgen!' }, true)).toMatchObject({ value: 'unknown', abstained: true })
    expect(judge({ body: 'Bis morgen!', headers: { importance: 'high' } }, true)).toMatchObject({ value: 'high' })
  })
})
