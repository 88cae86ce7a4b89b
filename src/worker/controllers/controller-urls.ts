// The value of CONTROLLER_URL: one controller, or several of one mesh.

const MAX_URLS = 32

/**
 * Parses `https://a:9000,https://b:9000`: https URLs of host and port, each once, in their order.
 * @throws {Error} with a sentence that names the first invalid entry
 */
export function parseControllerUrls(list: string): readonly string[] {
  const entries = list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  const origins = new Set(entries.map((entry) => readOne(entry, entries.length > 1)))
  if (origins.size === 0) throw new Error('must be an https URL of host and port only')
  if (origins.size > MAX_URLS) throw new Error(`must be at most ${MAX_URLS} URLs`)
  return [...origins]
}

/** Parses one https URL of host and port. @throws {Error} with a sentence */
export function parseOrigin(text: string): string {
  const url = URL.parse(text)
  const bare = url?.protocol === 'https:' && url.username === '' && url.password === '' && url.pathname === '/'
  if (url === null || !bare || /[?#]/.test(text)) throw new Error('must be an https URL of host and port only')
  return url.origin
}

function readOne(entry: string, isOneOfSeveral: boolean): string {
  try {
    return parseOrigin(entry)
  } catch (cause: unknown) {
    if (!isOneOfSeveral) throw cause
    throw new Error(`must be https URLs of host and port only, separated by commas; "${entry}" is not`, { cause })
  }
}
