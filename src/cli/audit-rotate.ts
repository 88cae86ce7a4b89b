// `crank audit rotate`: asks the controller's admin listener to begin new segments.
import { Compile } from 'typebox/compile'
import { RotateReply } from '../core/wire.ts'
import { askAdmin } from './ask-admin.ts'
import { environment } from './environment.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { writeJson, writeLine, type Format } from './output.ts'
import { adminUrlOf } from './places.ts'

type RotateOptions = { adminUrl?: string | undefined; output: Format }

const isReply = Compile(RotateReply)

/** `negative` if a process of the controller could not begin one. */
export async function rotateAudit(options: RotateOptions): Promise<ExitCode> {
  const reply = await askAdmin(adminUrlOf(options, environment()), '/audit/rotate', {}, (body) => isReply.Check(body))
  if (options.output === 'json') writeJson(reply)
  else for (const slot of reply.slots) writeLine(sentenceOf(slot))
  const failed = reply.slots.filter(({ first_seq: seq }) => seq === null)
  if (failed.length > 0)
    throw new CliError(EXIT.negative, `the audit log of ${failed.length} process(es) did not rotate`)
  return EXIT.ok
}

function sentenceOf({ slot, first_seq: seq }: RotateReply['slots'][number]): string {
  return seq === null ? `slot ${slot}: no new segment` : `slot ${slot}: a new segment begins with record ${seq}`
}
