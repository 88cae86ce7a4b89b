// Why a definition could not be imported: the fault, then what to do.
import { fileURLToPath } from 'node:url'
import type { Fault, Place } from './fault.ts'
import type { SentError } from './import-protocol.ts'

/** What failed: a file, or a worker that its registry creates. `isOwn`: whether a file is one of the sources. */
type Failed = {
  readonly file: string
  readonly worker?: string | undefined
  readonly error: SentError
  readonly addon?: string | undefined
  readonly isOwn: (file: string) => boolean
}

const LATER = 'do it on first use, in a handler'

/** The fault of an error, at the position in the sources where it was thrown. */
export function failureFault({ file, worker, error, addon, isOwn }: Failed): Fault {
  const place = placesIn(error.stack).find((found) => isOwn(found.file)) ?? { file }
  const maker = worker === undefined ? '' : `${worker}: `
  return { ...place, reason: `${maker}${reasonOf(error, addon)}` }
}

/** The fault of a process that ended early. */
export function endReason(end: { code: number | null; signal: string | null; lastLine: string }): string {
  if (end.code === UNSETTLED) return 'its import never ends: an await at the top level is never settled'
  const how = end.signal ?? `exit code ${end.code ?? 0}`
  const said = end.lastLine === '' || end.code === 0 ? '' : `: ${end.lastLine}`
  return `ends the process while it is imported (${how})${said}; ${LATER}`
}

/** Node's exit code for an await at the top level that never settles. */
const UNSETTLED = 13

function reasonOf(error: SentError, addon: string | undefined): string {
  const denied = chain(error).find(({ code }) => code === 'ERR_ACCESS_DENIED')
  if (denied !== undefined) return deniedReason(denied)
  const message = error.message.split('\n', 1)[0] ?? ''
  if (error.name === 'DefinitionError') return message
  if (addon !== undefined) return addonReason(addon)
  if (error.name === 'SyntaxError' || error.code?.endsWith('MODULE_NOT_FOUND') === true) {
    return `cannot be imported: ${message}`
  }
  return `throws while it is imported: ${error.name === 'Error' ? '' : `${error.name}: `}${message}`
}

function deniedReason({ permission = '', resource = '' }: SentError): string {
  switch (permission) {
    case 'FileSystemRead':
      return `reads ${resource} while it is imported; only its package and node_modules may be read: ${LATER}`
    case 'FileSystemWrite':
      return `writes ${resource} while it is imported; ${LATER}`
    case 'ChildProcess':
      return `starts the process ${resource} while it is imported; ${LATER}`
    case 'WorkerThreads':
      return `starts a worker thread while it is imported; ${LATER}`
    default:
      return `uses ${permission} while it is imported; ${LATER}`
  }
}

function addonReason(file: string): string {
  const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]
  return `loads the native addon ${name === undefined ? file : `of ${name}`} while it is imported; ${LATER}`
}

function chain(error: SentError): SentError[] {
  return error.cause === undefined ? [error] : [error, ...chain(error.cause)]
}

/** The positions of a stack, innermost first. A syntax error has its position on the first line. */
function placesIn(stack: string): Place[] {
  return [...stack.matchAll(/(file:\/\/[^\s()]+?|\/[^\s():]+):(\d+)(?::(\d+))?\)?$/gm)].map(
    ([, path = '', line, column]) => ({
      file: path.startsWith('file:') ? fileURLToPath(path) : path,
      line: Number(line),
      column: column === undefined ? undefined : Number(column),
    }),
  )
}
