// Distinguishes a complete mail (RFC 5322: header fields, an empty line, a body) from plain text.

// A block of fields with at least one of these is a mail header.
const TELLING = /^(?:from|to|subject|date|message-id|received|return-path|delivered-to|sender)$/i
const FIELD = /^([!-9;-~]{1,128}):/
const MIN_FIELDS = 2
const MAX_HEAD_LINES = 2_000

/** Whether the text starts with header fields, followed by an empty line or nothing. */
export function looksLikeMessage(text: string): boolean {
  let fields = 0
  let telling = 0
  let lines = 0
  for (const line of linesOf(text)) {
    lines += 1
    if (line === '' || lines > MAX_HEAD_LINES) break
    // The separator line that an mbox puts before a mail.
    if (lines === 1 && line.startsWith('From ')) continue
    // A continuation line of a folded field.
    if (fields > 0 && /^[ \t]/.test(line)) continue
    const name = FIELD.exec(line)?.[1]
    if (name === undefined) return false
    fields += 1
    if (TELLING.test(name)) telling += 1
  }
  return fields >= MIN_FIELDS && telling > 0
}

function* linesOf(text: string): Generator<string, void> {
  let at = 0
  while (at <= text.length) {
    const found = text.indexOf('\n', at)
    const end = found < 0 ? text.length : found
    // A header line has at most 998 characters, so the start of a longer line is enough.
    yield text.slice(at, Math.min(end, at + 1_000)).replace(/\r$/, '')
    at = end + 1
  }
}
