// Classifies images: classify:image_category for the whole image, classify:image_objects for objects and faces with
// positions. Models come from npm packages.
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import { startStopwatch } from '../../worker/stopwatch.ts'
import { createClassify, type Seen } from './classify.ts'
import { createDecode, type Source } from './decode.ts'
import { createModelThread, type ModelThread } from './model-thread.ts'
import type { Box, Finding } from './picture.ts'
import {
  CategoryOutput,
  DEFAULT_RESULTS,
  errors,
  Input,
  ObjectsOutput,
  type Category,
  type Located,
} from './schemas.ts'

/** Each active call holds its image, and there is one model thread. */
const MAX_CONCURRENCY = 4

/** `monotonic`: milliseconds, for processing_time_ms. */
export function createImageClassifier({
  monotonic = () => performance.now(),
  models = createModelThread(),
}: { monotonic?: () => number; models?: ModelThread } = {}): WorkerDefinition {
  // sharp is loaded at the first call. The worker must not start at all if the package is missing.
  import.meta.resolve('sharp')

  const classify = createClassify({ decode: createDecode(), models })

  const imageCategory = defineCapability({
    verb: 'classify',
    name: 'image_category',
    version: '1.0.0',
    description: 'Classifies an image: its scene (heuristic) and whether it is safe for work (a model).',
    input: Input,
    output: CategoryOutput,
    errors,
    max_concurrency: MAX_CONCURRENCY,
    requires_gpu: false,
    slo: { p95_ms: 300 },
    tags: ['image', 'classification'],
    estimated_duration_ms: 150,
    handler: async ({ input, signal, inSpan, log }) => {
      const elapsedMs = startStopwatch(monotonic)
      const { image, found } = await classify({ input, signal, inSpan, log }, ['scenes', 'nsfw'])
      return { classifications: categoriesOf(found, input), image, processing_time_ms: elapsedMs() }
    },
  })

  const imageObjects = defineCapability({
    verb: 'classify',
    name: 'image_objects',
    version: '1.0.0',
    description: 'Finds everyday objects and faces, each with a box; counts faces and never identifies people.',
    input: Input,
    output: ObjectsOutput,
    errors,
    max_concurrency: MAX_CONCURRENCY,
    requires_gpu: false,
    slo: { p95_ms: 300 },
    tags: ['image', 'classification', 'detection'],
    estimated_duration_ms: 300,
    handler: async ({ input, signal, inSpan, log }) => {
      const elapsedMs = startStopwatch(monotonic)
      const { image, found } = await classify({ input, signal, inSpan, log }, ['objects', 'faces'])
      const classifications = objectsOf(found, input, image)
      const counts = Object.fromEntries(found.map(({ kind, findings }) => [`${kind}_count`, findings.length]))
      return { classifications, ...counts, image, processing_time_ms: elapsedMs() }
    },
  })

  return defineWorker({
    id: 'worker-image-classifier',
    capabilities: [imageCategory, imageObjects],
    close: () => models.close(),
  })
}

function categoriesOf(found: Seen<Category['type']>['found'], input: Input): Category[] {
  return found.flatMap(({ kind, findings }) =>
    first(findings, input).map(({ label, confidence }): Category => ({
      type: kind,
      label,
      confidence: rounded(confidence),
      method: kind === 'scenes' ? 'heuristic' : 'model',
    })),
  )
}

function objectsOf(found: Seen<Located['type']>['found'], input: Input, image: Source): Located[] {
  return found.flatMap(({ kind, findings }) =>
    first(findings, input).flatMap(({ label, confidence, box }): Located[] =>
      box === undefined
        ? []
        : [{ type: kind, label, confidence: rounded(confidence), method: 'model', box: inPixels(box, image) }],
    ),
  )
}

function first(findings: readonly Finding[], { max_results = DEFAULT_RESULTS }: Input): readonly Finding[] {
  return findings.slice(0, max_results)
}

// Four digits: the rest is noise, and differs between processors.
function rounded(confidence: number): number {
  return Math.round(Math.min(1, Math.max(0, confidence)) * 10_000) / 10_000
}

/** The smallest box of whole pixels around `box`. */
function inPixels(box: Box, image: Source): Located['box'] {
  const x = Math.floor(box.x * image.width)
  const y = Math.floor(box.y * image.height)
  const width = Math.min(image.width, Math.ceil((box.x + box.width) * image.width)) - x
  const height = Math.min(image.height, Math.ceil((box.y + box.height) * image.height)) - y
  return { x, y, width, height }
}
