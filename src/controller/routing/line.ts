// A doubly linked list: what waits leaves from anywhere in it in constant time.

export type Place<T> = { readonly item: T; before: Place<T> | undefined; behind: Place<T> | undefined }

/**
 * Items in the order of their arrival.
 * @example
 * const place = line.join(item)
 * line.leave(place) // once
 */
export class Line<T> {
  #first: Place<T> | undefined
  #last: Place<T> | undefined

  get first(): Place<T> | undefined {
    return this.#first
  }

  get last(): Place<T> | undefined {
    return this.#last
  }

  join(item: T): Place<T> {
    const place: Place<T> = { item, before: this.#last, behind: undefined }
    if (this.#last === undefined) this.#first = place
    else this.#last.behind = place
    this.#last = place
    return place
  }

  leave({ before, behind }: Place<T>): void {
    if (before === undefined) this.#first = behind
    else before.behind = behind
    if (behind === undefined) this.#last = before
    else behind.before = before
  }
}
