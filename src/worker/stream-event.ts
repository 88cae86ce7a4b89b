// One event of a stream, as handlers give it and callers get it.

/** One server-sent event; `data` is sent as JSON. `id` comes back as `lastEventId` when a caller resumes. */
export type StreamEvent<T = unknown> = { readonly data: T; readonly id?: string; readonly event?: string }
