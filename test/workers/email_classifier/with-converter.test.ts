// Mails of the corpus as they were sent, through the real converter: what was measured in training holds for it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadCorpus, type CorpusMail } from '../../../scripts/email-models/spam-corpus.ts'
import { createDocumentConversion } from '../../../src/workers/document_conversion/worker.ts'
import type { WorkerDefinition } from '../../../src/worker/define.ts'
import { call, createTestWorker, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { createClassifier } from './fake-invoke.ts'

const EVERY = 10

let conversion: WorkerDefinition
let classifier: TestWorker
let mails: readonly CorpusMail[]
beforeAll(async () => {
  conversion = createDocumentConversion()
  const converter = await createTestWorker(conversion)
  const invoked = await createClassifier(async ({ capability, payload }) =>
    (await call(converter, capability, payload)).json(),
  )
  classifier = invoked.worker
  mails = (await loadCorpus()).heldOut.filter((_, at) => at % EVERY === 0)
})
afterAll(() => conversion.close?.())

test('tells spam from mails that were never trained on', async () => {
  const verdicts: { spam: boolean; value: string }[] = []
  for (const { bytes, spam } of mails) {
    const answer = await call(classifier, 'classify:spam_detection', {
      email_content: bytes.toString('base64'),
      content_format: 'message_base64',
      classification_types: ['spam'],
    })
    expect(answer.status).toBe(200)
    const { classifications } = answer.json() as { classifications: { value: string }[] }
    verdicts.push({ spam, value: classifications[0]!.value })
  }
  const answered = verdicts.filter(({ value }) => value !== 'unknown')
  const right = answered.filter(({ spam, value }) => value === (spam ? 'spam' : 'not_spam'))
  expect(answered.filter(({ spam, value }) => value === 'spam' && !spam)).toStrictEqual([])
  // 61 mails: the whole half is counted in spam-model.test.ts.
  expect(answered.length / verdicts.length).toBeGreaterThanOrEqual(0.8)
  expect(right.length / answered.length).toBeGreaterThanOrEqual(0.98)
})

test('knows a mail by its head, and judges it by its decoded subject and headers', async () => {
  const answer = await call(classifier, 'classify:email_category', {
    email_content: [
      'From: Volt Energy <no-reply@volt.example>',
      'To: ada@example.org',
      'Subject: =?utf-8?B?WW91ciBiaWxsIGlzIG92ZXJkdWU=?=',
      'X-Priority: 1',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '<p>The amount due of <b>=E2=82=AC92.33</b> is overdue.</p><p>Please pay before the due date=',
      ' to avoid a late fee.</p><script>steal()</script>',
    ].join('\r\n'),
    classification_types: ['category', 'bill', 'priority', 'language'],
  })
  expect(answer.json()).toMatchObject({
    classifications: [{ value: 'bill' }, { value: 'bill' }, { value: 'high' }, { value: 'en' }],
    analysis: { source: 'message' },
  })
})
