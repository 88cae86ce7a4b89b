// Puts every sentence of the Markdown files on its own line; test/docs/sentence-lines.test.ts checks it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownFiles, ROOT } from './lab/markdown-files.ts'
import { oneSentencePerLine } from './lab/sentence-lines.ts'

for (const path of markdownFiles()) {
  const file = join(ROOT, path)
  const before = readFileSync(file, 'utf8')
  const after = oneSentencePerLine(before)
  if (after === before) continue
  writeFileSync(file, after)
  process.stdout.write(`${path}\n`)
}
