// Checks in its Rego whether a policy answers equal questions equally. It does if common.rego is the version known
// here, and no other file can read the clock or the ids of a question except in two known statements. Code that the
// scan does not understand
// counts as a reader; then every decision is evaluated.
import { createHash } from 'node:crypto'

export type RegoSource = { readonly name: string; readonly content: string }

/**
 * SHA-256 of common.rego without comments and with single spaces. After a change of the file, update this value, but
 * first check that it still reads only `decision_id` (which it echoes), `now_ns`, `origin` and `depth` (which memo.ts
 * compares) of `input.context`, and that
 * `exception_state` only tests whether `now_ns` is at or after `expires_after`, and after `expires_after` less the
 * longest lifetime.
 */
export const KNOWN_COMMON = '0b67c2fa01e15b91a5fb8c4c943e264e435906542d71b14ace65f4612a3a8842'

/** The same of batch.rego: it may only ask for the decision on each item. */
const KNOWN_BATCH = 'c935235f42ad02a4ccb0b3571594ada67d9ad4b24631d0cbb02c9697f69c452f'

const COMMON = 'common.rego'
/** Where the members of an answer begin. */
const ANSWERS = new Set(['decision := {', '_answer := {'])
const KNOWN_STATEMENTS = new Set([
  'import data.crank.common',
  ...ANSWERS,
  '_exception_entry := data.exceptions[common.spiffe_id]',
  '_exception_state := common.exception_state(_exception_entry, common.now_ns) if _exception_scope',
])
const ECHO = '"": common.decision_id,'
/** A member of the answer, before the echo of the id: text between them would be another object. */
const ANSWER_MEMBER = /^"": (?:""|[\w.]+|\[(?:"")?\]),$/
/** None may match outside of the statements above. */
const READERS: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  {
    what: 'reads more of input than identity, action and resource',
    pattern: /\binput\b(?!\.(?:identity|action|resource)\b)/,
  },
  { what: 'reads the clock or the ids of a question', pattern: /\b(?:now_ns|decision_id|exception_state)\b/ },
  { what: 'reads its own answer, which holds an id', pattern: /\bdecision\b/ },
  { what: 'uses the exception in another way', pattern: /\b_exception_entry\b(?!\.)/ },
  { what: 'reads data as a whole', pattern: /\bdata\b(?!\.[a-z_]+\b)/ },
  { what: 'reads the policy as data', pattern: /\bdata\.(?:crank|system)\b/ },
  { what: 'uses common as a whole', pattern: /\bcommon\b(?!\.[a-z_]+\b)/ },
  { what: 'replaces input or data', pattern: /\bwith\b/ },
  { what: 'uses a builtin that may answer differently each time', pattern: /\b(?:time|rand|uuid|http|net|io|opa)\./ },
]

/** Why equal questions may get different answers, in a sentence; undefined when they cannot. */
export function findReaderOfTime(sources: readonly RegoSource[]): string | undefined {
  const common = sources.find(({ name }) => name === COMMON)
  if (common === undefined || hashOf(common.content) !== KNOWN_COMMON)
    return `${COMMON} is not the version known to this program`
  for (const { name, content } of sources) {
    const found = name === COMMON || isKnownBatch(name, content) ? undefined : findReader(content)
    if (found !== undefined) return `${name}:${found}`
  }
  return undefined
}

function isKnownBatch(name: string, content: string): boolean {
  return name === 'batch.rego' && hashOf(content) === KNOWN_BATCH
}

/** The hash in KNOWN_COMMON. */
export function hashOf(rego: string): string {
  return createHash('sha256')
    .update(blank(rego, { strings: false }).replace(/\s+/g, ' ').trim())
    .digest('hex')
}

function findReader(rego: string): string | undefined {
  const text = blank(rego, { strings: true })
  // A string with code inside is rare, so it is not parsed.
  if (text.includes('$""')) return ' it has a template string'
  const lines = text.split('\n')
  let inAnswer = false
  for (const [index, line] of lines.entries()) {
    const statement = line.trim()
    const isEcho = inAnswer && statement === ECHO
    inAnswer = ANSWERS.has(statement) || (inAnswer && ANSWER_MEMBER.test(statement))
    if (isEcho) continue
    if (/^package\s+crank\s*\.\s*common\b/.test(statement)) return `${index + 1} it adds to the package crank.common`
    if (KNOWN_STATEMENTS.has(statement) || statement.startsWith('package ')) continue
    const reader = READERS.find(({ pattern }) => pattern.test(statement))
    if (reader !== undefined) return `${index + 1} it ${reader.what}`
  }
  return undefined
}

/** Removes comments, and with `strings` the content of strings; line numbers stay the same. */
function blank(rego: string, { strings }: { strings: boolean }): string {
  return rego.replace(/("(?:[^"\\\n]|\\.)*"|`[^`]*`)|#[^\n]*/g, (whole, text: string | undefined) => {
    if (text === undefined) return ''
    return strings ? `""${'\n'.repeat(text.split('\n').length - 1)}` : whole
  })
}
