// A mail in the form that the classifiers use, whatever the input was.
import { readableText } from './html-text.ts'
import { MAX_ANALYSED_CHARACTERS } from './limits.ts'

/** `headers`: decoded, by lower-case name; empty for a mail that came as text. */
export type Mail = {
  readonly subject: string
  readonly body: string
  readonly headers: ReadonlyMap<string, string>
}
/** The part of a mail that is also present when it came as text. */
export type MailText = Pick<Mail, 'subject' | 'body'>

/** The start of a body, as a reader sees it. HTML may be mostly markup, so more of it is read. */
export function bodyText(body: string): { readonly text: string; readonly truncated: boolean } {
  const start = body.slice(0, 4 * MAX_ANALYSED_CHARACTERS)
  const text = readableText(start)
  const truncated = start.length < body.length || text.length > MAX_ANALYSED_CHARACTERS
  return { text: text.slice(0, MAX_ANALYSED_CHARACTERS).toWellFormed(), truncated }
}

/** The body without quoted lines of an earlier mail, and without the signature. */
export function ownWords(body: string): string {
  const signature = /^-- ?$/m.exec(body)
  return (signature === null ? body : body.slice(0, signature.index))
    .split('\n')
    .filter((line) => !/^\s{0,8}>/.test(line))
    .join('\n')
}
