// Inputs, outputs and errors of the two capabilities.
import Type, { type Static, type TSchema } from 'typebox'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { MAX_DECODE_SECONDS, MAX_PIXELS, MAX_SIDE } from './decode.ts'
import { FORMATS, MAX_BASE64_LENGTH, MAX_IMAGE_BYTES } from './input-image.ts'
import { KINDS } from './picture.ts'

export const DEFAULT_RESULTS = 5

const confidence = Type.Number({ minimum: 0, maximum: 1 })
const pixels = Type.Integer({ minimum: 0, maximum: MAX_SIDE })

export type Input = Static<typeof Input>
export const Input = Type.Object(
  {
    image_data: Type.String({
      minLength: 1,
      maxLength: MAX_BASE64_LENGTH,
      contentEncoding: 'base64',
      description: `A ${FORMATS.join(', ')} of at most ${MAX_IMAGE_BYTES} bytes, ${MAX_PIXELS} pixels and ${MAX_SIDE} pixels a side, in base64.`,
    }),
    classification_types: Type.Array(Type.Enum([...KINDS]), {
      minItems: 1,
      maxItems: KINDS.length,
      uniqueItems: true,
      description:
        'What to look for: scenes and nsfw with classify:image_category, objects and faces with classify:image_objects.',
    }),
    max_results: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: DEFAULT_RESULTS,
        description: 'Findings per type, most certain first.',
      }),
    ),
  },
  { additionalProperties: false },
)

const Image = Type.Object(
  {
    format: Type.Enum([...FORMATS]),
    width: pixels,
    height: pixels,
    frames: Type.Integer({ minimum: 1, description: 'Frames of an animation; only the first is used.' }),
  },
  { additionalProperties: false, description: 'The image as a viewer shows it: upright.' },
)

export type Category = Static<typeof Category>
const Category = Type.Object(
  {
    type: Type.Enum(['scenes', 'nsfw']),
    label: Type.String(),
    confidence,
    method: Type.Enum(['model', 'heuristic'], {
      description: 'heuristic: rules on colours and edges, no trained model.',
    }),
  },
  { additionalProperties: false },
)

export type Located = Static<typeof Located>
const Located = Type.Object(
  {
    type: Type.Enum(['objects', 'faces']),
    label: Type.String(),
    confidence,
    method: Type.Enum(['model']),
    box: Type.Object(
      { x: pixels, y: pixels, width: pixels, height: pixels },
      { additionalProperties: false, description: 'In pixels of the upright image, from its upper left corner.' },
    ),
  },
  { additionalProperties: false },
)

const count = (what: string) =>
  Type.Optional(
    Type.Integer({ minimum: 0, description: `${what} found in total, including those beyond max_results.` }),
  )

export const CategoryOutput = outputOf(Category, {})
export const ObjectsOutput = outputOf(Located, { objects_count: count('Objects'), faces_count: count('Faces') })

function outputOf<C extends TSchema, M extends Record<string, TSchema>>(classification: C, more: M) {
  return Type.Object(
    {
      classifications: Type.Array(classification),
      ...more,
      image: Image,
      processing_time_ms: Type.Number({ minimum: 0 }),
    },
    { additionalProperties: false },
  )
}

export const errors = {
  INVALID_INPUT: {
    description: 'The input does not fit the schema, or requests a type that the other capability serves.',
    retryable: false,
    status: 400,
  },
  INVALID_IMAGE: {
    description: 'Not base64, not one of the formats, damaged or incomplete.',
    retryable: false,
    status: 422,
  },
  IMAGE_TOO_LARGE: {
    description: `More than ${MAX_PIXELS} pixels, or ${MAX_SIDE} pixels a side.`,
    retryable: false,
    status: 413,
  },
  DECODE_TIMEOUT: {
    description: `The node is too busy: the image was not decoded within ${MAX_DECODE_SECONDS} s, and may be retried.`,
    retryable: true,
    status: 503,
  },
  MODEL_UNAVAILABLE: { description: 'A model could not be loaded.', retryable: true, status: 503 },
  CLASSIFICATION_FAILED: {
    description: 'A model failed or did not answer in time; the next call loads it again.',
    retryable: true,
    status: 503,
  },
} as const satisfies Record<string, ErrorDeclaration>
