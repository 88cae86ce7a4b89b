// Plain technical English: phrases that read as translated stay out of comments, messages and pages.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { markdownFiles, ROOT } from '../../scripts/lab/markdown-files.ts'

const FOLDERS = ['src', 'scripts', 'policies', 'observability', 'bin']
/** A copy of an older state, byte for byte. */
const COPIES = 'scripts/bench/peers/policy-bac95cf/'
const TEXT = /\.(?:ts|js|rego|sh|yml|md)$/
/** Each with the standard term. Names of events and functions (`policy_mended`, `onMended`) are no prose. */
const ODD: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\banew\b/i, 'again'],
  [/\bmend(?:s|ed|ing)?\b/i, 'fix'],
  [/\bfor ever\b/i, 'forever'],
  [/\bnonsense\b/i, 'invalid input'],
  [/\bstands twice\b/i, 'duplicate'],
  [/\bgoes before\b/i, 'takes precedence'],
  [/(?:^|[.;:] |\/\/ |\* )Of (?:the|a|an|its|those|each|what|all|several)\b/, 'another beginning of the sentence'],
]

function oddWords(text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, at) =>
      ODD.flatMap(([pattern, instead]) =>
        pattern.test(line) ? [`${at + 1}: ${line.trim()} (write: ${instead})`] : [],
      ),
    )
}

test('no comment, message or page has a phrase of the list', () => {
  const code = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  ).filter((path) => !path.startsWith(COPIES) && TEXT.test(path) && !/(?:^|\/)(?:node_modules|dist)\//.test(path))
  const files = [...new Set([...code, ...markdownFiles()])]
  expect(files.length).toBeGreaterThan(500)
  const found = files.flatMap((path) =>
    oddWords(readFileSync(join(ROOT, path), 'utf8')).map((line) => `${path}:${line}`),
  )
  expect(found).toEqual([])
})

test.each([
  ['// made anew', 1],
  ['retries for ever', 1],
  ['// Of the entries, the longest counts', 1],
  ['the header x stands twice; it goes before y', 2],
  ['forever, and policy_mended', 0],
])('finds in %j what is odd', (text, count) => {
  expect(oddWords(text)).toHaveLength(count)
})
