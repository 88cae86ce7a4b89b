// Requests of operators for a new segment. A request that comes during a write is for the next one.
import { AppError } from '../../core/errors.ts'

export class Rotations {
  #waiting: PromiseWithResolvers<number>[] = []
  #taken: PromiseWithResolvers<number>[] = []

  /** Resolves with the number of the new segment's first record. */
  add(): Promise<number> {
    const rotation = Promise.withResolvers<number>()
    this.#waiting.push(rotation)
    return rotation.promise
  }

  get isDue(): boolean {
    return this.#waiting.length > 0
  }

  /** The write that begins now answers them. @returns whether there are any */
  take(): boolean {
    this.#taken.push(...this.#waiting.splice(0))
    return this.#taken.length > 0
  }

  done(firstSeq: number): void {
    for (const { resolve } of this.#taken.splice(0)) resolve(firstSeq)
  }

  /** Those that the failed write should have answered. */
  fail(cause: unknown): void {
    for (const { reject } of this.#taken.splice(0)) reject(new AppError('audit_unavailable', undefined, { cause }))
  }

  close(): void {
    this.take()
    this.fail(new Error('the audit log is closed'))
  }
}
