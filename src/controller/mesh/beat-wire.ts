// Heartbeats between the controllers of a mesh: each tells the others, a few times a second, which workers have sent one. Plain
// messages that are not stored: they may be lost, the next ones follow.
import Type from 'typebox'
import { Compile } from 'typebox/compile'

/** `key`: of the worker in the store; `lease`: the first characters of the hash of its lease. */
export type ToldBeat = { readonly key: string; readonly lease: string; readonly load: number | undefined }

const LEASE_CHARS = 16
const MAX_BEATS = 2000
const Told = Type.Object({
  v: Type.Literal(1),
  from: Type.String({ maxLength: 64 }),
  beats: Type.Array(
    Type.Tuple([Type.String(), Type.String(), Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])]),
    {
      maxItems: MAX_BEATS,
    },
  ),
})
const validator = Compile(Told)

/** The messages for these heartbeats, of at most 2,000 each. */
export function encodeBeats(from: string, beats: readonly ToldBeat[]): string[] {
  const messages: string[] = []
  for (let at = 0; at < beats.length; at += MAX_BEATS) {
    const part = beats
      .slice(at, at + MAX_BEATS)
      .map(({ key, lease, load }) => [key, lease.slice(0, LEASE_CHARS), load ?? null])
    messages.push(JSON.stringify({ v: 1, from, beats: part }))
  }
  return messages
}

/** Empty if they are our own. @throws {Error} when the text is no such message */
export function decodeBeats(own: string, text: string): ToldBeat[] {
  const value: unknown = JSON.parse(text)
  if (!validator.Check(value)) throw new Error('it is not a message about heartbeats')
  if (value.from === own) return []
  return value.beats.map(([key, lease, load]) => ({ key, lease, load: load ?? undefined }))
}
