// On the path of every call. How many calls may be sent again: a fifth of the calls of the last ten seconds, so that retries never
// multiply the load of workers that are failing because of it.

const BUCKETS = 10
const BUCKET_MS = 1000
const SHARE = 0.2
/** With little traffic a fifth would be none. */
const LEAST_RETRIES = 10

/**
 * @example
 * budget.called(nowMs)
 * if (budget.take(nowMs)) … // the call may be sent again
 */
export class RetryBudget {
  readonly #calls = new Uint32Array(BUCKETS)
  readonly #retries = new Uint32Array(BUCKETS)
  #allCalls = 0
  #allRetries = 0
  #bucket = 0

  called(nowMs: number): void {
    const index = this.#indexAt(nowMs)
    this.#calls[index] = (this.#calls[index] ?? 0) + 1
    this.#allCalls += 1
  }

  /** False: there have been too many retries. */
  take(nowMs: number): boolean {
    const index = this.#indexAt(nowMs)
    if (this.#allRetries >= Math.max(LEAST_RETRIES, Math.floor(this.#allCalls * SHARE))) return false
    this.#retries[index] = (this.#retries[index] ?? 0) + 1
    this.#allRetries += 1
    return true
  }

  #indexAt(nowMs: number): number {
    const bucket = Math.floor(nowMs / BUCKET_MS)
    if (bucket !== this.#bucket) this.#advance(bucket)
    return bucket % BUCKETS
  }

  #advance(bucket: number): void {
    const first = Math.max(this.#bucket + 1, bucket - BUCKETS + 1)
    for (let at = first; at <= bucket; at++) {
      const index = at % BUCKETS
      this.#allCalls -= this.#calls[index] ?? 0
      this.#allRetries -= this.#retries[index] ?? 0
      this.#calls[index] = 0
      this.#retries[index] = 0
    }
    this.#bucket = bucket
  }
}
