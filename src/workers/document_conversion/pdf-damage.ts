// pdf.js repairs damage and reports it only on the console. These reports are counted here, so that none goes
// unnoticed.

/** Words of pdf.js for damage; it has other warnings, such as those for unknown fonts. */
const DAMAGE =
  /^Warning: (?:Skipping command|Unknown command|getHexString|Unterminated|Invalid (?:stream|cMap)|loadFont -|Indexing all|getTextContent|getPage)/

/**
 * Calls `onDamage` for each sign of damage while `read` runs. Nothing is printed: it would quote the document.
 * One call at a time in a thread.
 */
export async function hearingDamage<T>(onDamage: () => void, read: () => Promise<T>): Promise<T> {
  /* eslint-disable no-console -- pdf.js reports damage in no other way */
  const original = console.warn
  console.warn = (message: unknown) => {
    if (typeof message === 'string' && DAMAGE.test(message)) onDamage()
  }
  try {
    return await read()
  } finally {
    console.warn = original
  }
  /* eslint-enable no-console */
}
