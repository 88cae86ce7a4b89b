import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { createEmailClassifier } from '../../../src/workers/email_classifier/worker.ts'
import { call, createTestWorker, start, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { createClassifier } from './fake-invoke.ts'

const INVOICE = {
  subject: 'Invoice 2231 is overdue',
  email_content:
    'Dear customer, the amount due of $340.00 is overdue. Please pay within seven days to avoid a late fee.',
}
const CATEGORY_TYPES = ['category', 'bill', 'receipt', 'sentiment', 'priority', 'language']

let worker: TestWorker
beforeAll(async () => {
  worker = (await createClassifier()).worker
})

function classify(input: object, capability = 'classify:email_category') {
  return call(worker, capability, input)
}

describe('classify:email_category', () => {
  test('says all that it is asked for, in that order', async () => {
    const answer = await classify({ ...INVOICE, classification_types: CATEGORY_TYPES })
    expect(answer.status).toBe(200)
    const { classifications, ...rest } = answer.json() as { classifications: { type: string; value: string }[] }
    expect(classifications.map(({ type, value }) => [type, value])).toStrictEqual([
      ['category', 'bill'],
      ['bill', 'bill'],
      ['receipt', 'not_receipt'],
      ['sentiment', expect.any(String)],
      ['priority', 'normal'],
      ['language', 'en'],
    ])
    expect(rest).toStrictEqual({
      analysis: { source: 'text', characters: INVOICE.email_content.length, truncated: false },
      processing_time_ms: 2,
    })
  })

  test('names what spoke for it, words of the mail and rules', async () => {
    const answer = await classify({ ...INVOICE, classification_types: ['category'] })
    expect(answer.json()).toMatchObject({
      classifications: [{ abstained: false, method: 'model', evidence: expect.arrayContaining(['rule: amount due']) }],
    })
  })

  test('abstains where there is nothing to go by', async () => {
    const answer = await classify({ email_content: 'xq zv', classification_types: ['category', 'bill', 'language'] })
    const unknown = { value: 'unknown', confidence: 0, abstained: true, evidence: [] }
    expect(answer.json()).toMatchObject({
      classifications: [
        { type: 'category', ...unknown },
        { type: 'bill', ...unknown },
        { type: 'language', ...unknown },
      ],
    })
  })

  test('abstains in another language than English, but says which it is', async () => {
    const answer = await classify({
      subject: 'Rechnung',
      email_content:
        'Sehr geehrte Damen und Herren, anbei erhalten Sie die Rechnung für Ihre Bestellung. Bitte überweisen Sie den Betrag innerhalb von vierzehn Tagen.',
      classification_types: ['category', 'bill', 'sentiment', 'priority', 'language'],
    })
    const { classifications } = answer.json() as { classifications: { value: string }[] }
    expect(classifications.map(({ value }) => value)).toStrictEqual(['unknown', 'unknown', 'unknown', 'unknown', 'de'])
  })

  test('reads the text of HTML, without its scripts', async () => {
    const html = `<html><head><title>spam</title></head><body><script>var urgent = "verification code"</script>
      <p>Your flight to Lisbon departs at 08:15 from gate B4.</p><p>Download your boarding&nbsp;pass.</p></body></html>`
    const answer = await classify({ email_content: html, classification_types: ['category', 'language'] })
    expect(answer.json()).toMatchObject({ classifications: [{ value: 'travel' }, { value: 'en' }] })
  })

  test('looks at the start of a long mail, and says so', async () => {
    const answer = await classify({
      email_content: 'We are looking forward to seeing you next week. '.repeat(2_000),
      classification_types: ['language'],
    })
    expect(answer.json()).toMatchObject({
      classifications: [{ value: 'en' }],
      analysis: { characters: 64_000, truncated: true },
    })
  })

  test('answers the same for the same mail', async () => {
    const input = { ...INVOICE, classification_types: CATEGORY_TYPES }
    expect((await classify(input)).text).toBe((await classify(input)).text)
  })
})

describe('classify:spam_detection', () => {
  test('tells spam from a mail', async () => {
    const spam = await classify(
      {
        subject: 'FREE MONEY!!! Act now',
        email_content:
          'Dear friend, make $$$ FAST working from home! This is a limited time offer, 100% guaranteed and absolutely FREE. Click here to order now: http://1.2.3.4/win To be removed from our mailing list click here.',
        classification_types: ['spam'],
      },
      'classify:spam_detection',
    )
    expect(spam.json()).toMatchObject({ classifications: [{ type: 'spam', value: 'spam', abstained: false }] })
    const mail = await classify(
      {
        subject: 'Re: patch for the parser',
        email_content:
          '> does it build for you?\n\nYes, it does, but I think the second test is wrong: the file is read twice. I have seen the same with the old version on Linux. Could you look at the code again?\n\nHenry',
        classification_types: ['spam'],
      },
      'classify:spam_detection',
    )
    expect(mail.json()).toMatchObject({ classifications: [{ type: 'spam', value: 'not_spam', abstained: false }] })
  })

  test('abstains where the model knows too little of a mail', async () => {
    const answer = await classify({ email_content: 'Hi', classification_types: ['spam'] }, 'classify:spam_detection')
    expect(answer.json()).toMatchObject({ classifications: [{ value: 'unknown', abstained: true, evidence: [] }] })
  })

  test('abstains in another language than English', async () => {
    const answer = await classify(
      {
        email_content:
          'Wir freuen uns darauf, euch und die Kinder nächstes Wochenende zu sehen. Bringt bitte Kuchen mit.',
        classification_types: ['spam'],
      },
      'classify:spam_detection',
    )
    expect(answer.json()).toMatchObject({ classifications: [{ value: 'unknown', abstained: true }] })
  })
})

describe('what does not fit', () => {
  const refused: Record<string, [capability: string, input: object]> = {
    'an empty mail': ['classify:email_category', { email_content: '', classification_types: ['category'] }],
    'no types': ['classify:email_category', { email_content: 'a', classification_types: [] }],
    'a type twice': ['classify:email_category', { email_content: 'a', classification_types: ['bill', 'bill'] }],
    'an unknown type': ['classify:email_category', { email_content: 'a', classification_types: ['mood'] }],
    'spam among the categories': ['classify:email_category', { email_content: 'a', classification_types: ['spam'] }],
    'a category among spam': ['classify:spam_detection', { email_content: 'a', classification_types: ['category'] }],
    'a long subject': [
      'classify:spam_detection',
      { email_content: 'a', subject: 'a'.repeat(1001), classification_types: ['spam'] },
    ],
    'an unknown member': ['classify:spam_detection', { email_content: 'a', from: 'b', classification_types: ['spam'] }],
  }
  for (const [what, [capability, input]] of Object.entries(refused)) {
    test(`refuses ${what}`, async () => {
      const answer = await classify(input, capability)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ error: 'INVALID_INPUT', retryable: false })
    })
  }

  test('refuses more bytes than the limit, which it names', async () => {
    // As many characters as the schema allows, and twice as many bytes.
    const answer = await classify({ email_content: 'é'.repeat(5_500_000), classification_types: ['language'] })
    expect(answer.status).toBe(413)
    expect(answer.json()).toMatchObject({
      error: 'LIMIT_EXCEEDED',
      retryable: false,
      message: 'input/email_content is 11000000 bytes long, at most 10485760 are read',
    })
  })
})

describe('a call that ends early', () => {
  test('stops between two judgements', async () => {
    const left = new AbortController()
    const input = { email_content: 'a '.repeat(30_000), classification_types: CATEGORY_TYPES }
    const answer = start(worker, 'classify:email_category', input, { callerLeft: left.signal })
    setImmediate(() => left.abort())
    expect(await answer).toMatchObject({ status: 503 })
    await worker.slots.idle()
  })
})

test('logs nothing of a mail', async () => {
  const logging = await createTestWorker(createEmailClassifier())
  await call(logging, 'classify:spam_detection', {
    subject: 'xanthippe',
    email_content: 'From: xanthippe@example.org\nTo: xanthippe\n\nxanthippe',
    classification_types: ['spam'],
  })
  await call(logging, 'classify:email_category', { email_content: 'xanthippe', classification_types: ['category'] })
  expect(logging.logged().map(({ event }) => event)).toContain('conversion_failed')
  expect(JSON.stringify(logging.logged())).not.toContain('xanthippe')
})

test('answers whatever text there is, within its schema', async () => {
  const pieces = [
    '<a href="http://x.y">',
    '</script',
    '<!--',
    '&#x110000;',
    '> quoted',
    '\n-- \n',
    'URGENT!!!',
    '$$$',
    '\ud800',
    '[list]',
    'http://',
  ]
  const text = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...pieces), fc.lorem()), {
    minLength: 1,
  })
  await fc.assert(
    fc.asyncProperty(text, fc.string({ maxLength: 50 }), async (parts, subject) => {
      const email_content = `${parts.join(' ')}.`
      const mail = { email_content, subject, content_format: 'text' }
      const [category, spam] = await Promise.all([
        call(worker, 'classify:email_category', { ...mail, classification_types: CATEGORY_TYPES }),
        call(worker, 'classify:spam_detection', { ...mail, classification_types: ['spam'] }),
      ])
      expect([category.status, spam.status]).toStrictEqual([200, 200])
    }),
    { numRuns: 150 },
  )
})
