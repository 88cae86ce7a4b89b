// The records of one chain as they come from the stream of a mesh: duplicates are left out, and each hash and link is checked.
import { ChainCheck, type Fault } from './chain-check.ts'
import { openRecord, type ChainedRecord } from './chain.ts'

type Options = {
  /** The name of the chain, which faults name in place of a file. */
  readonly name: string
  /** The oldest records are not read, or the stream's limits have removed them. */
  readonly mayBeginLate: boolean
}

/** How many records a duplicate may be late: a batch is the most that is ever sent again. */
const REMEMBERED = 1024

export class ChainOfStream {
  readonly #check = new ChainCheck(true)
  readonly #mayBeginLate: boolean
  /** Hashes of the last records by number. */
  readonly #recent = new Map<number, string>()
  #duplicates = 0

  constructor({ name, mayBeginLate }: Options) {
    this.#mayBeginLate = mayBeginLate
    this.#check.beginSegment(name, undefined)
  }

  /** @param at the number of the message in the stream. @returns the record; undefined: it is none, or was there before */
  take(at: number, text: string): ChainedRecord | undefined {
    const record = openRecord(text)
    if (typeof record === 'string') {
      this.#check.seeBad(at, record, `message ${at} of the stream is no genuine record (${record})`)
      return undefined
    }
    if (this.#recent.get(record.seq) === record.hash) {
      this.#duplicates += 1
      return undefined
    }
    this.#remember(record)
    this.#check.see(at, { ...record, members: () => record })
    return record
  }

  end(): { readonly duplicates: number; readonly faults: readonly Fault[] } {
    const isFault = ({ why }: Fault): boolean => why !== 'begins_late' || !this.#mayBeginLate
    return { duplicates: this.#duplicates, faults: this.#check.end().faults.filter(isFault) }
  }

  #remember({ seq, hash }: ChainedRecord): void {
    this.#recent.set(seq, hash)
    const [oldest] = this.#recent.keys()
    if (oldest !== undefined && this.#recent.size > REMEMBERED) this.#recent.delete(oldest)
  }
}
