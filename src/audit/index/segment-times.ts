// When the records of a segment were written, to choose segments. A clock may have been wrong at any record, such as the first ones
// after a boot: a limit that is too wide costs a look, one that is too narrow would hide records.
import { openRecord } from '../chain.ts'
import { readLines, readLinesBackwards } from '../lines.ts'
import { indexFileOf, openIndexToRead, readProgress } from './index-file.ts'
import { isFresh, stampOf } from './segment-lines.ts'

/** No record is before `min` or after `max`, in Unix ms. */
export type Times = { readonly min: number; readonly max: number }

const CLOCK_SPARE_MS = 24 * 3_600_000

/** From the finished index of a segment that has not changed since; undefined without one. */
export function indexedTimes(file: string): Times | undefined {
  const database = openIndexToRead(indexFileOf(file))
  try {
    const made = database === undefined ? undefined : readProgress(database)
    if (made === undefined || made.records === 0 || !isFresh(made, stampOf(file))) return undefined
    return { min: made.minTime, max: made.maxTime }
  } catch {
    // Whoever uses the index makes it again.
    return undefined
  } finally {
    database?.close()
  }
}

/** From its first and its last record, with a day to spare. */
export async function guessedTimes(file: string): Promise<Times> {
  try {
    const ends = [await firstTime(textsOf(file)), await firstTime(readLinesBackwards(file))]
    return { min: Math.min(...ends) - CLOCK_SPARE_MS, max: Math.max(...ends) + CLOCK_SPARE_MS }
  } catch {
    // Whoever reads the segment itself gets the error.
    return { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY }
  }
}

async function* textsOf(file: string): AsyncGenerator<string, void> {
  for await (const { text } of readLines(file)) yield text
}

/** @throws {RangeError} without a record that has a time */
async function firstTime(lines: AsyncIterable<string>): Promise<number> {
  for await (const line of lines) {
    const record = openRecord(line)
    const time = typeof record === 'object' ? Date.parse(record.timestamp) : Number.NaN
    if (!Number.isNaN(time)) return time
  }
  throw new RangeError('no record has a time')
}
