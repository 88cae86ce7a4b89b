// The corpus' mails as text for training: subject and readable parts, similar to the output of convert:email_to_text.
// A separate reader, so that the models do not change whenever the converter improves; a test compares the two.
import { htmlText } from '../../src/workers/email_classifier/html-text.ts'
import { bodyText, type MailText } from '../../src/workers/email_classifier/mail.ts'

type Part = { readonly headers: ReadonlyMap<string, string>; readonly body: string }

const MAX_DEPTH = 8

export function readRawMail(bytes: Buffer): MailText {
  // latin1 keeps every byte until the part's charset is known.
  const { headers, body } = partOf(bytes.toString('latin1'))
  const { plain, html } = textsOf({ headers, body }, 0)
  const text = plain.trim() === '' ? htmlText(html) : plain
  return {
    subject: decodeWords(headers.get('subject') ?? ''),
    body: bodyText(text.replaceAll('\r\n', '\n').trim()).text,
  }
}

/** The body as sent, without the headers, which differ between copies of one mail. */
export function rawBody(bytes: Buffer): string {
  return partOf(bytes.toString('latin1')).body
}

function partOf(text: string): Part {
  const blank = /\r?\n\r?\n/.exec(text)
  const head = blank === null ? text : text.slice(0, blank.index)
  const headers = new Map<string, string>()
  for (const [, name = '', value = ''] of head.replaceAll(/\r?\n[ \t]+/g, ' ').matchAll(/^([!-9;-~]+):[ \t]*(.*)$/gm)) {
    if (!headers.has(name.toLowerCase())) headers.set(name.toLowerCase(), value)
  }
  return { headers, body: blank === null ? '' : text.slice(blank.index + blank[0].length) }
}

function textsOf({ headers, body }: Part, depth: number): { plain: string; html: string } {
  const type = headers.get('content-type') ?? 'text/plain'
  const boundary = /^multipart\/.*\bboundary\s*=\s*(?:"([^"]+)"|([^\s;]+))/i.exec(type)
  if (boundary !== null && depth < MAX_DEPTH) {
    const parts = body.split(`--${boundary[1] ?? boundary[2] ?? ''}`).slice(1)
    const texts = parts
      .filter((part) => !part.startsWith('--'))
      .map((part) => textsOf(partOf(part.replace(/^[ \t]*\r?\n/, '\n').replace(/^\n(?=\S)/, '')), depth + 1))
    return { plain: joined(texts.map(({ plain }) => plain)), html: joined(texts.map(({ html }) => html)) }
  }
  if (/attachment/i.test(headers.get('content-disposition') ?? '')) return { plain: '', html: '' }
  if (/^text\/html/i.test(type)) return { plain: '', html: decodedBody(headers, body) }
  if (/^text\b|^\s*$/i.test(type)) return { plain: decodedBody(headers, body), html: '' }
  return { plain: '', html: '' }
}

function joined(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('\n')
}

function decodedBody(headers: Part['headers'], body: string): string {
  const charset = /\bcharset\s*=\s*"?([\w.:-]+)/i.exec(headers.get('content-type') ?? '')?.[1]
  return inCharset(decoded((headers.get('content-transfer-encoding') ?? '').trim().toLowerCase(), body), charset)
}

function decoded(encoding: string, text: string): Buffer {
  if (encoding === 'base64') return Buffer.from(text, 'base64')
  return Buffer.from(encoding === 'quoted-printable' ? unquoted(text.replaceAll(/=[ \t]*\r?\n/g, '')) : text, 'latin1')
}

function unquoted(text: string): string {
  return text.replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function inCharset(bytes: Buffer, charset = 'windows-1252'): string {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return new TextDecoder('windows-1252').decode(bytes)
  }
}

// RFC 2047: =?charset?B or Q?text?=; blanks between two encoded words are ignored.
function decodeWords(text: string): string {
  return text
    .replaceAll(/\?=\s+=\?/g, '?==?')
    .replaceAll(/=\?([\w.:-]+)\?([bq])\?([^?]*)\?=/gi, (_, charset: string, kind: string, word: string) =>
      inCharset(
        kind.toLowerCase() === 'b' ? Buffer.from(word, 'base64') : decoded('', unquoted(word.replaceAll('_', ' '))),
        charset,
      ),
    )
}
