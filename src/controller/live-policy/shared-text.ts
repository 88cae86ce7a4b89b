// Text in memory that several threads see, so that it is never copied between them.

export function sharedUtf8(text: string): Uint8Array<SharedArrayBuffer> {
  const bytes = Buffer.from(text)
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}
