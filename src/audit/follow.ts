// Reads audit logs while they are being written.
import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createLineSplitter, endOfLines, lineAt } from './lines.ts'
import { tellDamage, type OnDamaged } from './damage.ts'
import { mergeByTime } from './merge.ts'
import type { AuditChain, AuditSegment } from './places.ts'
import { lastOfAudits, toRecord, type AuditFilter, type AuditRecord } from './reader.ts'
import { openSegment, type SegmentBytes } from './segment-bytes.ts'
import { unlessAbsent } from './unless-absent.ts'

const POLL_MS = 200

/**
 * The last `last` (default 10) matching records of the chains, then each new one as it is written, until `signal` is aborted.
 * With `onDamaged` a damaged segment is told instead of thrown, and the next one read. `chains` is asked again and again: a chain that appears later is read from its beginning. What was written since the last
 * look is merged by time. A file that is cut or replaced is read from its new end or its new beginning; when there is none,
 * waits for one.
 */
export async function* followAudit(
  chains: () => readonly AuditChain[],
  filter: AuditFilter,
  signal: AbortSignal,
  { last = 10, onDamaged }: { readonly last?: number; readonly onDamaged?: OnDamaged } = {},
): AsyncGenerator<AuditRecord, void> {
  const followed = new Map<number | null, Followed>()
  try {
    const atStart = chains()
    for (const chain of atStart) followed.set(chain.slot, await Followed.atEndOf(chain, onDamaged))
    const ends = new Map([...followed.values()].map(({ file, position }) => [file, position]))
    const there = atStart.filter(({ slot }) => followed.get(slot)?.isOpen === true)
    yield* await lastOfAudits(there, filter, last, { ends, onDamaged })
    while (!signal.aborted) {
      const news = chains().map((chain) => {
        const one = followed.get(chain.slot) ?? new Followed(onDamaged)
        followed.set(chain.slot, one)
        return one.news(chain, filter)
      })
      yield* mergeByTime(news)
      await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    for (const one of followed.values()) await one.close()
  }
}

/** What has been read of a chain: up to `position` of `file`, which stays open, since it may get another name. */
class Followed {
  file = ''
  position = 0
  #firstSeq = 0
  #lines = 0
  #first: string | undefined
  #inode: number | undefined
  #open: SegmentBytes | undefined
  readonly #onDamaged: OnDamaged | undefined

  constructor(onDamaged: OnDamaged | undefined) {
    this.#onDamaged = onDamaged
  }

  /** Follows from the end of the newest segment. */
  static async atEndOf(chain: AuditChain, onDamaged: OnDamaged | undefined): Promise<Followed> {
    const one = new Followed(onDamaged)
    const newest = chain.segments.at(-1)
    if (newest === undefined) return one
    try {
      if ((await one.#enter(newest)) && one.#open !== undefined) one.position = await endOfLines(one.#open)
    } catch (cause: unknown) {
      await one.#leave(chain, newest, cause)
    }
    return one
  }

  /** Whether there was something to follow. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** The matching records that were written since. */
  async *news(chain: AuditChain, filter: AuditFilter): AsyncGenerator<AuditRecord, void> {
    yield* this.#drain(filter)
    for (const segment of chain.segments) {
      if (segment.firstSeq < this.#firstSeq) continue
      if (segment.firstSeq === this.#firstSeq && !this.#isReplaced(segment)) {
        this.file = segment.file
        continue
      }
      try {
        if (await this.#enter(segment)) yield* this.#drain(filter)
      } catch (cause: unknown) {
        await this.#leave(chain, segment, cause)
      }
    }
  }

  async close(): Promise<void> {
    await this.#open?.close()
    this.#open = undefined
  }

  /** Goes on behind a damaged segment: nothing of it is followed any more. @throws any other error */
  async #leave(chain: AuditChain, { firstSeq, file }: AuditSegment, cause: unknown): Promise<void> {
    if (!tellDamage(chain, file, { cause, onDamaged: this.#onDamaged })) throw cause
    await this.close()
    this.#firstSeq = firstSeq + 1
  }

  /** Opens a segment, to read it from its beginning, or further if it begins as the one before. @returns whether it is there */
  async #enter({ firstSeq, file }: AuditSegment): Promise<boolean> {
    const inode = inodeOf(file)
    const opened = await openSegment(file).catch(unlessAbsent)
    if (opened === undefined) return false
    await this.close()
    const first = await lineAt(opened, 0)
    if (this.#first === undefined || this.#first !== first) this.#restart()
    this.#first = first
    Object.assign(this, { file })
    this.#firstSeq = firstSeq
    this.#inode = inode
    this.#open = opened
    return true
  }

  async *#drain(filter: AuditFilter): AsyncGenerator<AuditRecord, void> {
    const segment = this.#open
    if (segment === undefined) return
    await this.#seeCuts(segment)
    const splitter = createLineSplitter()
    for (let at = this.position; ;) {
      const bytes = await segment.read(at)
      if (bytes.length === 0) return
      at += bytes.length
      for (const text of splitter.push(bytes)) {
        this.position += text.length + 1
        this.#lines += 1
        this.#first ??= text
        const found = toRecord(this.#lines, text, filter)
        if (found !== undefined) yield found
      }
    }
  }

  /** The file may have been emptied, and the writer may have started it again; or the writer removed a failed batch. */
  async #seeCuts(segment: SegmentBytes): Promise<void> {
    if (this.#first !== undefined && (await lineAt(segment, 0)) !== this.#first) this.#restart()
    this.position = Math.min(this.position, await segment.size())
  }

  #restart(): void {
    this.position = 0
    this.#lines = 0
    this.#first = undefined
  }

  /** Not when only the compressed form is there: then all of the segment can be read from the open file. */
  #isReplaced({ file }: AuditSegment): boolean {
    return this.#open === undefined || (file === this.file && inodeOf(file) !== this.#inode)
  }
}

function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino
}
