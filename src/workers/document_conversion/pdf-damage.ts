// What pdf.js makes the best of, it only says on the console. Counted here, so that no damage goes unnoticed.

/** Its words for what is broken; it has others, for fonts it does not know and the like. */
const DAMAGE =
  /^Warning: (?:Skipping command|Unknown command|getHexString|Unterminated|Invalid (?:stream|cMap)|loadFont -|Indexing all|getTextContent|getPage)/

/**
 * Calls `onDamage` for each sign of damage while `read` runs. Nothing is printed meanwhile: it would quote the document.
 * One at a time in a thread.
 */
export async function hearingDamage<T>(onDamage: () => void, read: () => Promise<T>): Promise<T> {
  /* eslint-disable no-console -- there is no other way to be told */
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
