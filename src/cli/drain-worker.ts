// `crank worker drain` and `crank worker undrain`: asks the controller's admin listener.
import { Compile } from 'typebox/compile'
import { request } from 'undici'
import { DrainReply } from '../core/wire.ts'
import { environment } from './environment.ts'
import { CliError, EXIT, messageOf, type ExitCode } from './exit.ts'
import { say, writeJson, type Format } from './output.ts'
import { adminUrlOf } from './places.ts'

type DrainOptions = { adminUrl?: string | undefined; reason?: string | undefined; output: Format }

const TIMEOUT_MS = 10_000
const isReply = Compile(DrainReply)

/** `negative` if the controller refuses, such as an id that nobody has. */
export async function drainWorker(id: string, action: 'drain' | 'undrain', options: DrainOptions): Promise<ExitCode> {
  const reply = await ask(adminUrlOf(options, environment()), id, action, options.reason)
  if (options.output === 'json') writeJson(reply)
  else say(sentenceOf(reply))
  return EXIT.ok
}

function sentenceOf({ worker_id: id, draining, changed, workers }: DrainReply): string {
  const now = draining ? 'gets no new calls' : 'gets calls again'
  const whom = workers.length === 0 ? 'no instance is registered now' : `registered now: ${workers.join(', ')}`
  return `${id} ${now}${changed ? '' : ' (as before)'}; ${whom}`
}

async function ask(url: string, id: string, action: string, reason: string | undefined): Promise<DrainReply> {
  const { statusCode, text } = await request(`${url}/workers/${encodeURIComponent(id)}/${action}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...(reason !== undefined && { reason }) }),
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  })
    .then(async (answer) => ({ statusCode: answer.statusCode, text: await answer.body.text() }))
    .catch((cause: unknown) => {
      const hint = 'is it running (crank check), and is this its admin listener?'
      throw new CliError(EXIT.unreachable, `cannot reach the controller at ${url}: ${messageOf(cause)}`, {
        cause,
        hint,
      })
    })
  const body = parsed(text)
  if (statusCode === 200 && isReply.Check(body)) return body
  const { reason: why } = (body ?? {}) as { reason?: unknown }
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
