// One event of a stream, as handlers produce it and callers receive it.

/** One server-sent event; `data` is sent as JSON. A caller that resumes sends `id` as `lastEventId`. */
export type StreamEvent<T = unknown> = { readonly data: T; readonly id?: string; readonly event?: string }
