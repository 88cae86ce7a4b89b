// One call: the image is parsed and decoded once, then classified for each requested type.
import { capabilityError, type HandlerError } from '../../worker/call-error.ts'
import type { HandlerContext } from '../../worker/handler.ts'
import type { Decode, Source } from './decode.ts'
import { parseInputImage } from './input-image.ts'
import { createLane } from './lane.ts'
import { ModelError, type ModelThread } from './model-thread.ts'
import type { Finding, Kind } from './picture.ts'
import type { Input } from './schemas.ts'

/** The used members of a handler's context. */
type Job = Pick<HandlerContext<Input>, 'input' | 'signal' | 'inSpan' | 'log'>
/** `found`: in the order of classification_types; all findings of a kind, most certain first. */
export type Seen<K extends Kind> = {
  readonly image: Source
  readonly found: readonly { readonly kind: K; readonly findings: readonly Finding[] }[]
}
type Classify = <K extends Kind>(job: Job, served: readonly K[]) => Promise<Seen<K>>

/** Throws only the declared errors, and the signal's reason. */
export function createClassify({ decode, models }: { decode: Decode; models: ModelThread }): Classify {
  // Decoding an image can take 200 MB, so images are decoded one at a time.
  const decodeLane = createLane()
  return async ({ input, signal, inSpan, log }, served) => {
    const kinds = input.classification_types.map((kind) => servedKind(kind, served))
    const image = parseInputImage(input.image_data)
    const { picture, source } = await decodeLane(signal, () => inSpan('image.decode', () => decode(image)))
    const found = []
    for (const kind of kinds) {
      const findings = await models.look(kind, picture, { signal, inSpan }).catch((error: unknown) => {
        throw error instanceof ModelError ? reported(error, kind, log) : error
      })
      found.push({ kind, findings })
    }
    return { image: source, found }
  }
}

function servedKind<K extends Kind>(kind: Kind, served: readonly K[]): K {
  const known = served.find((name) => name === kind)
  if (known === undefined) {
    throw capabilityError(
      'INVALID_INPUT',
      `this capability serves ${served.join(' and ')}; use the other one for ${kind}`,
    )
  }
  return known
}

function reported(error: ModelError, kind: Kind, log: Job['log']): HandlerError {
  log.error({ event: 'image_model_failed', kind, stage: error.stage, err: error.cause }, 'an image model failed')
  return error.stage === 'load'
    ? capabilityError('MODEL_UNAVAILABLE', `the model for ${kind} could not be loaded`, { cause: error })
    : capabilityError('CLASSIFICATION_FAILED', `the model for ${kind} failed; the next call loads it again`, {
        cause: error,
      })
}
