// What a chain cannot show by itself: that its last records were cut off, or that all of it was written again. A record that
// was known elsewhere shows it: it must be there, with its hash.
import type { Head } from './chain.ts'

/** A record that existed. `source`: who says so, for messages. */
export type KnownRecord = Head & { readonly source: string }

export type ProofFault = {
  readonly seq: number
  readonly why: 'tail_cut' | 'history_rewritten'
  readonly message: string
}

/** `upTo`: the newest known record that is there, which proves all before it. `unseen`: how many are older than the chain. */
type Proven = {
  readonly upTo: KnownRecord | null
  readonly unseen: number
  readonly faults: readonly ProofFault[]
}

/** Compares the records of a chain, in their order, with those that are known. */
export class Proof {
  readonly #known: readonly KnownRecord[]
  readonly #faults: ProofFault[] = []
  #next = 0
  #unseen = 0
  #upTo: KnownRecord | null = null
  #last = 0

  constructor(known: readonly KnownRecord[]) {
    this.#known = known.toSorted((a, b) => a.seq - b.seq)
  }

  see(seq: number, hash: string): void {
    if (seq > this.#last) this.#last = seq
    for (let known = this.#known[this.#next]; known !== undefined && known.seq <= seq;) {
      if (known.seq < seq) this.#unseen++
      else if (known.hash === hash) this.#upTo = known
      else this.#rewritten(known)
      known = this.#known[++this.#next]
    }
  }

  end(): Proven {
    const newest = this.#known.at(-1)
    if (newest !== undefined && newest.seq > this.#last) this.#cut(newest)
    return { upTo: this.#upTo, unseen: this.#unseen, faults: this.#faults }
  }

  #cut({ seq, source }: KnownRecord): void {
    const from = this.#last + 1
    const end = this.#last === 0 ? 'the log is empty' : `the log ends with record ${this.#last}`
    const message = `${end}, but ${source} shows that record ${seq} existed: ${records(from, seq)} missing at the end`
    this.#faults.push({ seq: from, why: 'tail_cut', message })
  }

  /** The first one says it all: every later hash covers the record that differs. */
  #rewritten({ seq, source }: KnownRecord): void {
    if (this.#faults.length > 0) return
    const from = (this.#upTo?.seq ?? 0) + 1
    const where = from === seq ? `record ${seq} was` : `one or more of the records ${from} to ${seq} were`
    const message = `the history was rewritten: record ${seq} has another hash than in ${source}; ${where} changed`
    this.#faults.push({ seq: from, why: 'history_rewritten', message })
  }
}

/** `record 7 is`, `records 7 to 9 are` */
export function records(first: number, last: number): string {
  return first === last ? `record ${first} is` : `records ${first} to ${last} are`
}
