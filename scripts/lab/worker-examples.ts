// The examples of docs/workers/: a block "json verb:name", and the answer in the block "json answer" (or, for an event stream,
// "text answer") that follows it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type WorkerExample = {
  /** The worker whose page has the example. */
  readonly worker: string
  readonly capability: string
  /** The first words of the input. */
  readonly title: string
  readonly input: unknown
  /** Parsed, or the text of an event stream. */
  readonly answer: unknown
}

const PAGES = join(import.meta.dirname, '../../docs/workers')
const INDEX = 'README.md'
const BLOCK = /^```(json|text) (\S+)\n([\s\S]*?)\n```$/gm
const MAX_TITLE = 60

/** The names of the workers that have a page. */
export async function workerPages(): Promise<string[]> {
  const files = (await readdir(PAGES)).filter((file) => file.endsWith('.md') && file !== INDEX)
  return files.map((file) => file.slice(0, -'.md'.length)).sort()
}

/** @throws {Error} when no answer follows a call */
export async function readExamples(): Promise<WorkerExample[]> {
  const pages = await Promise.all((await workerPages()).map(examplesOf))
  return pages.flat()
}

async function examplesOf(worker: string): Promise<WorkerExample[]> {
  const page = await readFile(join(PAGES, `${worker}.md`), 'utf8')
  const blocks = [...page.matchAll(BLOCK)].map(([, kind, info = '', text = '']) => ({ kind, info, text }))
  return blocks.flatMap(({ info, text }, at) => {
    if (info === 'answer') return []
    const next = blocks[at + 1]
    if (next?.info !== 'answer') throw new Error(`docs/workers/${worker}.md: no answer follows the call of ${info}`)
    const input: unknown = JSON.parse(text)
    const answer: unknown = next.kind === 'json' ? JSON.parse(next.text) : next.text
    return [{ worker, capability: info, title: JSON.stringify(input).slice(0, MAX_TITLE), input, answer }]
  })
}

/** Members that differ in every call: times, generated ids, counters of the process. */
const VOLATILE = new Set([
  'processing_time_ms',
  'conversion_time_ms',
  'timestamp',
  'created_at',
  'updated_at',
  'zettel_id',
])

/** The value with every volatile member replaced by its type. */
export function withoutVolatile(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
  if (Array.isArray(value)) return value.map(withoutVolatile)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      VOLATILE.has(name) ? `<${typeof member}>` : withoutVolatile(member),
    ]),
  )
}

const CUT = '…'

/** The answer with each text cut where the documented one is, which ends with "…" there. */
export function cutAs(answer: unknown, documented: unknown): unknown {
  if (typeof answer === 'string' && typeof documented === 'string' && documented.endsWith(CUT)) {
    return answer.slice(0, documented.length - 1) + CUT
  }
  if (typeof answer !== 'object' || answer === null || typeof documented !== 'object' || documented === null)
    return answer
  if (Array.isArray(answer)) return answer.map((item, at) => cutAs(item, (documented as unknown[])[at]))
  const pattern = documented as Readonly<Record<string, unknown>>
  return Object.fromEntries(Object.entries(answer).map(([name, member]) => [name, cutAs(member, pattern[name])]))
}
