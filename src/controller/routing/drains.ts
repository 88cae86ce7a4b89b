// The ids of workers that an operator has drained. An id without an instance stands for all instances of the worker.

export class Drains {
  readonly #sinceMs = new Map<string, number>()

  /** False if it is drained already. */
  add(id: string, nowMs: number): boolean {
    if (this.#sinceMs.has(id)) return false
    this.#sinceMs.set(id, nowMs)
    return true
  }

  delete(id: string): boolean {
    return this.#sinceMs.delete(id)
  }

  /** Since when this instance is drained, by its own id or that of its worker. */
  since(workerId: string): number | undefined {
    return this.#sinceMs.get(workerId) ?? this.#sinceMs.get(withoutInstance(workerId))
  }

  ids(): string[] {
    return [...this.#sinceMs.keys()]
  }
}

/** Whether the id is that of the instance, or of its worker. */
export function isOf(workerId: string, id: string): boolean {
  return workerId === id || withoutInstance(workerId) === id
}

/** `worker-pdf` of `worker-pdf.a`. */
export function withoutInstance(workerId: string): string {
  return workerId.split('.', 1)[0] ?? workerId
}
