// POST to the controller's admin listener.
import { CliError, EXIT, messageOf } from './exit.ts'
import { requestHttp } from './http-request.ts'

const TIMEOUT_MS = 10_000

/**
 * The answer's body. @throws {CliError} `unreachable` when there is no such answer, `negative` with the controller's reason
 */
export async function askAdmin<T>(
  url: string,
  path: string,
  body: object,
  isReply: (answer: unknown) => answer is T,
): Promise<T> {
  const { statusCode, text } = await requestHttp(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    timeoutMs: TIMEOUT_MS,
  }).catch((cause: unknown) => {
    const hint = 'is it running (crank check), and is this its admin listener?'
    throw new CliError(EXIT.unreachable, `cannot reach the controller at ${url}: ${messageOf(cause)}`, { cause, hint })
  })
  const answer = parsed(text)
  if (statusCode === 200 && isReply(answer)) return answer
  const { reason: why } = (answer ?? {}) as { reason?: unknown }
  if (typeof why === 'string') throw new CliError(EXIT.negative, why)
  throw new CliError(
    EXIT.unreachable,
    `${url} answers ${statusCode}, which is no answer of a controller's admin listener`,
    {
      hint: 'is this the admin listener of a controller of this version? See: crank check',
    },
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
