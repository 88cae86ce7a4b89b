// Which SVID of a Workload API a process uses, when it gives several: by SPIFFE ID or by hint, else the first, the default
// identity (SPIFFE_Workload_API.md, section 8).
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from '../../core/spiffe-id.ts'
import type { SvidMessage } from './x509-response.ts'

export type SvidChoice =
  | { readonly by: 'first' }
  | { readonly by: 'id'; readonly id: SpiffeId }
  | { readonly by: 'hint'; readonly hint: string }

export const FIRST_SVID: SvidChoice = { by: 'first' }

const MAX_HINT_CHARS = 1024

/** A text with `://` must be a SPIFFE ID; any other is a hint. @throws {Error} a sentence that begins with "must be" */
export function parseSvidChoice(text: string): SvidChoice {
  if (text.includes('://')) return { by: 'id', id: parseId(text) }
  if (text.length <= MAX_HINT_CHARS) return { by: 'hint', hint: text }
  throw new Error(`must be a SPIFFE ID, or a hint of at most ${MAX_HINT_CHARS} characters`)
}

function parseId(text: string): SpiffeId {
  try {
    return parseSpiffeId(text)
  } catch (cause: unknown) {
    const rule = cause instanceof SpiffeIdError ? cause.message : 'malformed'
    throw new Error(`must be a SPIFFE ID or a hint: ${rule}`, { cause })
  }
}

/** The chosen one; of several with the same hint the first. @throws {Error} naming what there is */
export function chooseSvid(svids: readonly SvidMessage[], choice: SvidChoice): SvidMessage {
  const found = svids.find(
    ({ spiffeId, hint }) =>
      choice.by === 'first' || (choice.by === 'id' ? spiffeId === choice.id : hint === choice.hint),
  )
  if (found !== undefined) return found
  const wanted = choice.by === 'id' ? choice.id : `the hint "${choice.by === 'hint' ? choice.hint : ''}"`
  const given = svids.map(({ spiffeId, hint }) => (hint === '' ? spiffeId : `${spiffeId} ("${hint}")`))
  throw new Error(`no SVID with ${wanted}, only ${given.join(', ')}; register an entry for it, or choose another`)
}
