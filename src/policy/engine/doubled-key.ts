// Finds a duplicate member name in an answer: JSON.parse silently keeps the last one, other readers the first. Cheap enough
// for every decision; the text must have passed JSON.parse already, since only names are checked here.

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** The first duplicate name in any object of the text, at any depth; undefined when there is none. */
export function doubledKey(json: string): string | undefined {
  const open: (string[] | undefined)[] = []
  let names: string[] | undefined
  let isNameNext = false
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(json, at)
        if (isNameNext && names !== undefined) {
          const name = nameAt(json, at, end)
          if (names.includes(name)) return name
          names.push(name)
          isNameNext = false
        }
        at = end
        break
      }
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        isNameNext = json.charCodeAt(at) === OPEN_BRACE
        names = isNameNext ? [] : undefined
        open.push(names)
        break
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET: {
        open.pop()
        names = open.at(-1)
        isNameNext = false
        break
      }
      case COMMA:
        isNameNext = names !== undefined
    }
  }
  return undefined
}

/** The name as JSON.parse reads it: two spellings of one name are the same name. */
function nameAt(json: string, start: number, end: number): string {
  const name = json.slice(start + 1, end)
  return name.includes('\\') ? (JSON.parse(`"${name}"`) as string) : name
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1)
  for (;;) {
    let backslashes = 0
    while (json.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
    end = json.indexOf('"', end + 1)
  }
}
