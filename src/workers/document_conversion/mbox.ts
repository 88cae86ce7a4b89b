// Files with several mails: RFC 4155, with the mboxrd quoting of `From ` inside a mail.

/** The line before each mail: an address, then a date in the format of asctime. */
const SEPARATOR = /^From \S.{0,256}? \d{1,2}:\d{2}(?::\d{2})?(?: .{1,24})? \d{4}\s*$/
const MAX_SEPARATOR = 400

/** Splits an mbox into mails; a single mail is returned unchanged. Bytes are characters (latin1), so none changes. */
export function splitMbox(file: string): string[] {
  if (!isSeparator(lineAt(file, 0))) return [file]
  const starts: number[] = [0]
  // Only after an empty line: anywhere else it is part of a mail.
  for (const match of file.matchAll(/\n\r?\n(?=From )/g)) {
    const at = match.index + match[0].length
    if (isSeparator(lineAt(file, at))) starts.push(at)
  }
  return starts.map((start, index) => {
    const body = start + lineAt(file, start).length + 1
    return file.slice(body, starts[index + 1] ?? file.length).replaceAll(/^>(>{0,64}From )/gm, '$1')
  })
}

function lineAt(file: string, at: number): string {
  const end = file.indexOf('\n', at)
  return file.slice(at, end < 0 ? file.length : end)
}

function isSeparator(line: string): boolean {
  return line.length <= MAX_SEPARATOR && SEPARATOR.test(line)
}
