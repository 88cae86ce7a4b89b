// One HTTP request to the controller's admin listener, with what Node has: a client library takes longer to load than the answer.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** `timeoutMs`: how long nothing may come. `maxBytes`: more than that is an error. */
export type HttpRequest = {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly timeoutMs: number
  readonly maxBytes?: number
}

type HttpAnswer = {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Rejects with the error of the connection, or beyond a limit. Whatever the status, it is an answer. */
export async function requestHttp(url: string, request: HttpRequest): Promise<HttpAnswer> {
  const { body = '', timeoutMs, maxBytes = Number.POSITIVE_INFINITY, ...options } = request
  // An import would also load all that the module exports, which takes five times as long.
  const isSecure = url.startsWith('https:')
  const http = process.getBuiltinModule(isSecure ? 'node:https' : 'node:http')
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    // A connection of its own: nothing keeps the process from ending.
    const sent: ClientRequest = http.request(url, { ...options, agent: false, timeout: timeoutMs }, resolve)
    sent.on('error', reject)
    sent.on('timeout', () => sent.destroy(new Error(`nothing came for ${timeoutMs} ms`)))
    sent.end(body)
  })
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`)
  }
  return { statusCode: answer.statusCode ?? 0, headers: answer.headers, text }
}
