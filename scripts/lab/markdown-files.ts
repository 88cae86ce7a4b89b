// The Markdown files for people: at the root, and in the folders with texts.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')
const FOLDERS = ['.github', 'docs', 'packages', 'policies', 'scripts'] as const

/** Paths relative to the root, sorted. */
export function markdownFiles(): string[] {
  const below = FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  )
  const isText = (path: string): boolean => path.endsWith('.md') && !/(^|\/)(node_modules|dist)\//.test(path)
  return [...readdirSync(ROOT), ...below].filter(isText).sort()
}
