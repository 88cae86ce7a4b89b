// The repository explains itself: no comment or page cites a text that only its makers have.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { markdownFiles, ROOT } from '../../scripts/lab/markdown-files.ts'

const FOLDERS = ['src', 'scripts', 'policies', 'test']
const CODE = /\.(?:ts|js|rego|sh)$/
const FOREIGN = [/\bdesign(?:\.md)?,? (?:section \d|D\d)/i, /(?:\(|\bin |\bof )issue #?\d/i, /\bfacts\/\w+\.md/]
const OWN = join('test', 'docs', 'citations.test.ts')

test('no comment and no page cites a design, an issue or notes that are not in the repository', () => {
  const code = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  ).filter((path) => CODE.test(path) && !/(?:^|\/)(?:node_modules|dist)\//.test(path) && path !== OWN)
  const files = [...code, ...markdownFiles()]
  expect(files.length).toBeGreaterThan(500)
  const cited = files.flatMap((path) =>
    readFileSync(join(ROOT, path), 'utf8')
      .split('\n')
      .flatMap((line, at) =>
        FOREIGN.some((pattern) => pattern.test(line)) ? [`${path}:${at + 1} ${line.trim()}`] : [],
      ),
  )
  expect(cited).toEqual([])
})
