// The messages between a thread and its owner; the caller's own data travels inside them.

export type ToThread<Request> =
  | { readonly kind: 'ask'; readonly id: number; readonly request: Request }
  /** The caller no longer waits for the reply. */
  | { readonly kind: 'cancel'; readonly id: number }
  /** The last message: the thread releases its resources and then ends by itself. */
  | { readonly kind: 'close' }

export type FromThread<Reply, News> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'reply'; readonly id: number; readonly reply: Reply }
  /** The request failed, the thread continues. */
  | { readonly kind: 'fault'; readonly id: number; readonly message: string }
  | { readonly kind: 'news'; readonly news: News }
