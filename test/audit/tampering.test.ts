// Whatever is done to the files of a log, `verify` finds it, if it knows the newest record.
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { segmentsIn } from '../../src/audit/places.ts'
import { verifySegments } from '../../src/audit/verify.ts'
import { writeLog } from '../cli/proven-log.ts'

const SIZES = [6, 5, 7]

/** Each takes the files in order, and two numbers that choose where. */
const TAMPER = {
  deleteFile: (files, a) => rmSync(at(files, a)),
  emptyFile: (files, a) => writeFileSync(at(files, a), ''),
  exchangeFiles(files, a, b) {
    const [one, other] = [at(files, a), at(files, b)]
    if (one === other) return
    renameSync(one, `${one}.x`)
    renameSync(other, one)
    renameSync(`${one}.x`, other)
  },
  cut: (files, a, b) => edit(at(files, a), (text) => text.slice(0, b % (text.length + 1))),
  cutBeginning: (files, a, b) => edit(at(files, a), (text) => text.slice(b % (text.length + 1))),
  flipBit: (files, a, b) =>
    edit(at(files, a), (text) => {
      const place = b % Math.max(1, text.length)
      return text.slice(0, place) + String.fromCharCode(text.charCodeAt(place) ^ (1 << (b % 7))) + text.slice(place + 1)
    }),
  insert: (files, a, b) =>
    edit(at(files, a), (text) => `${text.slice(0, b % (text.length + 1))}\n${text.slice(b % (text.length + 1))}`),
  deleteLine: (files, a, b) => editLines(at(files, a), (lines) => lines.toSpliced(b % Math.max(1, lines.length), 1)),
  repeatLine: (files, a, b) =>
    editLines(at(files, a), (lines) => lines.toSpliced(b % Math.max(1, lines.length), 0, at(lines, b))),
  moveLine(files, a, b) {
    const line = readFileSync(at(files, a), 'latin1').split('\n')[0] ?? ''
    TAMPER.deleteLine(files, a, 0)
    edit(at(files, b), (text) => `${text}${line}\n`)
  },
  appendForeign: (files, a) => edit(at(files, a), (text) => `${text}{"v":1}\n`),
} satisfies Record<string, (files: readonly string[], a: number, b: number) => void>

const step = fc.tuple(fc.constantFrom(...Object.values(TAMPER)), fc.nat({ max: 99 }), fc.nat({ max: 5000 }))

test('any change of any file is found', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'crank-tampering-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 3 }), async (steps) => {
      rmSync(dir, { recursive: true, force: true })
      const { folder, files, heads } = writeLog(dir, 0, SIZES)
      const before = contentOf(folder)
      for (const [tamper, a, b] of steps) {
        const left = files.filter((file) => existsSync(file))
        if (left.length > 0) tamper(left, a, b)
      }
      const known = [{ ...heads.at(-1)!, source: 'a checkpoint' }]
      const { ok } = await verifySegments(segmentsIn(folder), { isWhole: true, known })
      expect(ok).toBe(contentOf(folder) === before)
    }),
    { numRuns: 120 },
  )
})

/** The names of the files and what is in them. */
function contentOf(folder: string): string {
  return readdirSync(folder)
    .sort()
    .map((name) => `${name}\n${readFileSync(join(folder, name), 'latin1')}`)
    .join('')
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'latin1')), 'latin1')
}

function editLines(file: string, change: (lines: string[]) => string[]): void {
  edit(file, (text) => {
    const lines = change(text.split('\n').slice(0, -1))
    return lines.map((line) => `${line}\n`).join('')
  })
}

function at<T>(list: readonly T[], place: number): T {
  return list[place % list.length]!
}
