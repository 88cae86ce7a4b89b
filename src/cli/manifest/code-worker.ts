// A worker as its code defines it.

/**
 * `place`: file:line:column of its defineWorker. `provided` and `required` are sorted; what is provided is also
 * required.
 */
export type CodeWorker = {
  readonly id: string
  readonly place: string
  readonly provided: readonly string[]
  readonly required: readonly string[]
}
