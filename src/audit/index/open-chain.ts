// The segments of one chain, opened as they are needed. A search may pass over thousands of them: only some stay open.
import { tellDamage, type OnDamaged } from '../damage.ts'
import type { AuditChain } from '../places.ts'
import type { AuditRecord } from '../reader.ts'
import { indexFileOf, isOfSqlite } from './index-file.ts'
import { openIndexed, type Indexing, type OpenSegment } from './open-segment.ts'
import { guessedTimes, indexedTimes, type Times } from './segment-times.ts'
import { readWithId, type IdMember } from './read-with-id.ts'

type ChainOptions = {
  readonly temporaryFolder: () => string
  readonly onIndexing: (indexing: Indexing) => void
  readonly ignoresIndexes: boolean
  readonly onDamaged: OnDamaged | undefined
}

const MAX_OPEN = 64
/** What the controller has not indexed yet: reading it is quicker than indexing it. */
const MAX_READ_BYTES = 32 * 1024 * 1024

export class OpenChain {
  readonly chain: AuditChain
  readonly #options: ChainOptions
  /** By place in the chain, least recently used first. */
  readonly #open = new Map<number, Promise<OpenSegment>>()
  /** Whether an index that was found wrong was removed yet. */
  readonly #wrong = new Map<number, boolean>()
  readonly #times = new Map<number, Times>()
  /** Damaged ones for which no index can be made. */
  readonly #unreadable = new Set<number>()

  constructor(chain: AuditChain, options: ChainOptions) {
    this.chain = chain
    this.#options = options
  }

  get length(): number {
    return this.chain.segments.length
  }

  /** The segment with its index. Undefined once it is gone, since retention removes the oldest, and when it is damaged. */
  async segment(at: number): Promise<OpenSegment | undefined> {
    if (this.#unreadable.has(at)) return undefined
    const opened = this.#open.get(at) ?? this.#enter(at)
    this.#open.delete(at)
    this.#open.set(at, opened)
    await this.#closeOldest()
    try {
      return await opened
    } catch (cause: unknown) {
      this.#open.delete(at)
      if (this.#isDamage(at, cause)) {
        this.#unreadable.add(at)
        return undefined
      }
      // A file that somebody named must be there.
      if (this.#isNamed(at) || (cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      return undefined
    }
  }

  /** Makes the index of a segment again. @returns false when that was done before */
  async makeAgain(at: number): Promise<boolean> {
    if (this.#wrong.has(at)) return false
    this.#wrong.set(at, false)
    await this.#close(at)
    return true
  }

  /** The records with this id in a segment. Reads what is not in an index in a file that somebody named, or at the end. */
  async withId(at: number, member: IdMember, id: string): Promise<AuditRecord[]> {
    const read = this.#unreadable.has(at) ? [] : await this.#readWithId(at, member, id)
    if (read !== undefined) return read
    const segment = await this.segment(at)
    if (segment === undefined) return []
    const found: AuditRecord[] = []
    for (const place of await this.#placesOf(at, segment, member, id)) {
      const record = await this.recordAt(at, place)
      if (record === 'damaged') continue
      // Not even a record: the index is not that of this segment.
      if (record === undefined && (await this.makeAgain(at))) return this.withId(at, member, id)
      if (record?.record[member] === id) found.push(record)
    }
    return found
  }

  /** The record that begins there; undefined when none does. */
  async recordAt(at: number, place: number): Promise<AuditRecord | 'damaged' | undefined> {
    try {
      return await (await this.segment(at))?.recordAt(place)
    } catch (cause: unknown) {
      if (this.#isDamage(at, cause)) return 'damaged'
      throw cause
    }
  }

  /** The limits of the times in a segment: a fresh index knows them, else they are guessed. Infinite where nothing is known. */
  async times(at: number): Promise<Times> {
    const known = this.#times.get(at)
    if (known !== undefined) return known
    const { file } = this.chain.segments[at] ?? { file: '' }
    const times = (this.#options.ignoresIndexes ? undefined : indexedTimes(file)) ?? (await guessedTimes(file))
    this.#times.set(at, times)
    return times
  }

  /** Nobody goes on in this segment: an index that is not kept takes room. */
  async leave(at: number): Promise<void> {
    const opened = await this.#open.get(at)?.catch(() => undefined)
    if (opened?.isTemporary === true) await this.#close(at)
  }

  async close(): Promise<void> {
    for (const at of this.#open.keys()) await this.#close(at)
  }

  async #close(at: number): Promise<void> {
    const opened = this.#open.get(at)
    this.#open.delete(at)
    await (await opened?.catch(() => undefined))?.close()
  }

  /** What to do with the index that is there. */
  #present(at: number): 'used' | 'ignored' | 'wrong' {
    const isRemoved = this.#wrong.get(at)
    if (isRemoved === false) {
      this.#wrong.set(at, true)
      return 'wrong'
    }
    return isRemoved === true || this.#options.ignoresIndexes ? 'ignored' : 'used'
  }

  /** Beside a file that somebody named, or that of an older version, no index is made. */
  #isKept(at: number): boolean {
    return !this.#options.ignoresIndexes && !this.#isNamed(at)
  }

  #isDamage(at: number, cause: unknown): boolean {
    const { file } = this.chain.segments[at] ?? { file: '' }
    return tellDamage(this.chain, file, { cause, onDamaged: this.#options.onDamaged })
  }

  #isNamed(at: number): boolean {
    return this.chain.segments[at]?.file === this.chain.place
  }

  #enter(at: number): Promise<OpenSegment> {
    const { segments } = this.chain
    const segment = segments[at]
    if (segment === undefined) throw new RangeError(`the chain has no segment ${at}`)
    return openIndexed(segment, {
      ...this.#options,
      isClosed: at < segments.length - 1,
      before: segments.slice(0, at),
      isKept: this.#isKept(at),
      present: this.#present(at),
    })
  }

  async #placesOf(at: number, segment: OpenSegment, member: IdMember, id: string): Promise<number[]> {
    try {
      return segment.index.withId(member, id)
    } catch (cause: unknown) {
      if (!(await this.makeAgain(at))) throw cause
      return (await this.segment(at))?.index.withId(member, id) ?? []
    }
  }

  /** Without making an index; undefined where one has to be used. */
  async #readWithId(at: number, member: IdMember, id: string): Promise<AuditRecord[] | undefined> {
    const { file } = this.chain.segments[at] ?? { file: '' }
    const isNewest = at === this.length - 1
    if (this.#open.has(at) || (this.#isKept(at) && !isNewest)) return undefined
    const maxBytes = this.#isKept(at) ? MAX_READ_BYTES : Number.POSITIVE_INFINITY
    const indexFile = this.#options.ignoresIndexes || this.#wrong.has(at) ? undefined : indexFileOf(file)
    return readWithId({ file, indexFile, maxBytes }, member, id).catch((cause: unknown) => {
      if (this.#isDamage(at, cause)) return []
      // Whoever opens the segment makes a damaged index again, and knows what a missing segment means.
      if (this.#isKept(at) && (isOfSqlite(cause) || (cause as NodeJS.ErrnoException).code === 'ENOENT'))
        return undefined
      throw cause
    })
  }

  async #closeOldest(): Promise<void> {
    for (const at of this.#open.keys()) {
      if (this.#open.size <= MAX_OPEN) return
      await this.#close(at)
    }
  }
}
