// analyze:philosophy scores a text by the phrases and patterns of a lexicon, and shows each of them. It is a heuristic
// and does not understand the text.
import { capabilityError, HandlerError } from '../../worker/call-error.ts'
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import { createAnalyse, type Analyse } from './analyse.ts'
import { compileLexicon } from './compile.ts'
import { bundledLexicon, loadLexicon, type Lexicon } from './lexicon.ts'
import { errors, Input, outputSchema } from './schemas.ts'

/**
 * `dir`: may contain a lexicon.json of the operator, whose codes are then those of the answers.
 * @throws {Error} for an invalid lexicon.json
 */
export function createPhilosophicalAnalyzer({
  dir,
  lexicon = dir === undefined ? bundledLexicon : loadLexicon(dir),
  analyse = createAnalyse(compileLexicon(lexicon)),
}: { dir?: string; lexicon?: Lexicon; analyse?: Analyse } = {}): WorkerDefinition {
  const philosophy = defineCapability({
    verb: 'analyze',
    name: 'philosophy',
    version: '1.0.0',
    description:
      'Scores an English text for philosophical markers and authenticity by a lexicon, with every piece of evidence.',
    input: Input,
    output: outputSchema({
      markers: Object.keys(lexicon.markers),
      themes: Object.keys(lexicon.themes),
      readiness: Object.keys(lexicon.readiness),
    }),
    errors,
    max_concurrency: 16,
    requires_gpu: false,
    slo: { p50_ms: 50, p95_ms: 500 },
    tags: ['text', 'analysis', 'heuristic'],
    estimated_duration_ms: 10,
    handler: async ({ input, signal, inSpan }) => {
      try {
        return await inSpan('text.analyse', () => analyse(input, signal))
      } catch (cause: unknown) {
        if (signal.aborted || cause instanceof HandlerError) throw cause
        throw capabilityError('ANALYSIS_FAILED', 'the analysis failed', { cause })
      }
    },
  })
  return defineWorker({
    id: 'worker-philosophical-analyzer',
    capabilities: [philosophy],
  })
}
