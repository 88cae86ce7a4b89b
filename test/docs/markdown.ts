// What the documents refer to: links, scripts, commands and files of the repository.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** `text` is the file with its line numbers kept; `code` holds fenced blocks and inline code, `prose` the rest. */
export type Document = { readonly path: string; readonly prose: string; readonly code: readonly string[] }

export const ROOT = join(import.meta.dirname, '../..')
const FENCE = /^```[^\n]*\n([\s\S]*?)^```$/gm
const INLINE = /`([^`\n]+)`/g

/** README, CHANGELOG and everything below docs, by path from the root. */
export function documents(): Document[] {
  const below = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`)
  const paths = [...readdirSync(ROOT), ...below].filter((name) => name.endsWith('.md')).sort()
  return paths.map((path) => parseDocument(path, readFileSync(join(ROOT, path), 'utf8')))
}

/** Splits a document into prose and code. */
export function parseDocument(path: string, text: string): Document {
  const fenced = [...text.matchAll(FENCE)].map(([, block = '']) => block)
  const withoutFences = text.replaceAll(FENCE, '')
  const inline = [...withoutFences.matchAll(INLINE)].map(([, words = '']) => words)
  return { path, prose: withoutFences.replaceAll(INLINE, ''), code: [...fenced, ...inline] }
}

/** Targets of the links to other files of the repository, `file#heading` or `#heading`. */
export function relativeLinks({ prose }: Document): string[] {
  const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => !/^[a-z]+:/i.test(target))
}

/** The anchors that a renderer gives to the headings of a document. */
export function anchorsOf(text: string): Set<string> {
  const headings = [...text.replaceAll(FENCE, '').matchAll(/^#{1,6}\s+(.+)$/gm)].map(([, title = '']) => title)
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

/** Names behind `npm run` in code; `npm test` counts as the script `test`. */
export function npmScripts({ code }: Document): string[] {
  return code.flatMap((text) => [
    ...[...text.matchAll(/\bnpm run (?:-\S+ )*([a-z][\w:-]*)/g)].map(([, name = '']) => name),
    ...(/\bnpm test\b/.test(text) ? ['test'] : []),
  ])
}

/** Words behind `crank` where it is called as a command. */
export function crankCommands({ code }: Document): string[] {
  const calls = code.flatMap((text) => [...text.matchAll(/(?:^|npm run )crank (?:-- )?([a-z][a-z-]*)/gm)])
  return calls.map(([, name = '']) => name)
}

/** Inline code that names a file or folder of the repository. */
export function repositoryPaths({ code }: Document): string[] {
  return code.filter((text) => /^(src|test|scripts|policies|docs|bin)\/[\w./-]*$/.test(text))
}
