// What the two sides of a thread send to each other; each side's own words travel inside.

export type ToThread<Request> =
  | { readonly kind: 'ask'; readonly id: number; readonly request: Request }
  /** Nobody waits for the reply any more. */
  | { readonly kind: 'cancel'; readonly id: number }
  /** The last message: the thread ends by itself when it has closed what it holds. */
  | { readonly kind: 'close' }

export type FromThread<Reply, News> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'reply'; readonly id: number; readonly reply: Reply }
  /** The request failed, the thread did not. */
  | { readonly kind: 'fault'; readonly id: number; readonly message: string }
  | { readonly kind: 'news'; readonly news: News }
