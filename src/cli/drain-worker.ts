// `crank worker drain` and `crank worker undrain`: asks the controller's admin listener.
import { Compile } from 'typebox/compile'
import { DrainReply } from '../core/wire.ts'
import { askAdmin } from './ask-admin.ts'
import { environment } from './environment.ts'
import { EXIT, type ExitCode } from './exit.ts'
import { say, writeJson, type Format } from './output.ts'
import { adminUrlOf } from './places.ts'

type DrainOptions = { adminUrl?: string | undefined; reason?: string | undefined; output: Format }

const isReply = Compile(DrainReply)

/** `negative` if the controller refuses, such as an id that nobody has. */
export async function drainWorker(id: string, action: 'drain' | 'undrain', options: DrainOptions): Promise<ExitCode> {
  const { reason } = options
  const path = `/workers/${encodeURIComponent(id)}/${action}`
  const url = adminUrlOf(options, environment())
  const reply = await askAdmin(url, path, { ...(reason !== undefined && { reason }) }, (answer) =>
    isReply.Check(answer),
  )
  if (options.output === 'json') writeJson(reply)
  else say(sentenceOf(reply))
  return EXIT.ok
}

function sentenceOf({ worker_id: id, draining, changed, workers }: DrainReply): string {
  const now = draining ? 'gets no new calls' : 'gets calls again'
  const whom = workers.length === 0 ? 'no instance is registered now' : `registered now: ${workers.join(', ')}`
  return `${id} ${now}${changed ? '' : ' (as before)'}; ${whom}`
}
