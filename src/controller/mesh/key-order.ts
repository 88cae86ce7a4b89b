// Which of the shared keys for chains of calls signs: the newest one that every controller has known for long enough.

/** `at`: when it was made, Unix ms. */
export type StoredKey = { readonly key: string; readonly at: number }

/** `keys`: newest first. In the order of the file: the one that signs, then the others, which only verify. */
export function inUse(keys: readonly StoredKey[], nowMs: number, signAfterMs: number): readonly string[] {
  const signing = keys.find(({ at }) => at + signAfterMs <= nowMs) ?? keys.at(-1)
  return [signing, ...keys.filter((one) => one !== signing)].flatMap((one) => one?.key ?? [])
}
