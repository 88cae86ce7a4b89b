// Server-sent events, both ways: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
import type { StreamEvent } from './stream-event.ts'

/** An event of a parsed stream: `data` is still text. `event` is `message` if the stream names none. */
export type RawEvent = { readonly event: string; readonly data: string; readonly id: string | undefined }

/** A comment line: keeps idle connections open; parsers ignore it. */
export const HEARTBEAT_COMMENT = ': heartbeat\n\n'
const MAX_EVENT_CHARS = 1_048_576
const LINE_END = /\r\n|\n|\r(?!$)/

/**
 * Formats one event. JSON has no raw line breaks, so `data` is always one line; line breaks are removed from ids and
 * names.
 */
export function formatEvent({ data, id, event }: StreamEvent): string {
  const name = event === undefined ? '' : `event: ${oneLine(event)}\n`
  const key = id === undefined ? '' : `id: ${oneLine(id)}\n`
  return `${name}${key}data: ${JSON.stringify(data)}\n\n`
}

/** Reads events as they arrive; comments are skipped. @throws {Error} when one event is longer than 1 MiB. */
export async function* parseEvents(source: AsyncIterable<Uint8Array>): AsyncGenerator<RawEvent, void> {
  const decoder = new TextDecoder('utf-8')
  let rest = ''
  let pending: string[] = []
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(LINE_END)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line !== '') pending.push(line)
      else {
        const event = toEvent(pending)
        pending = []
        if (event !== undefined) yield event
      }
    }
    const size = pending.reduce((sum, line) => sum + line.length, rest.length)
    if (size > MAX_EVENT_CHARS) throw new Error('an event of the stream is longer than 1 MiB')
  }
}

function toEvent(lines: readonly string[]): RawEvent | undefined {
  const data: string[] = []
  let event = 'message'
  let id: string | undefined
  for (const line of lines) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id') id = value
  }
  return data.length === 0 ? undefined : { event, data: data.join('\n'), id }
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\0]/g, '')
}
