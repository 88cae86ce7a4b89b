// store:zettel keeps a zettel as a file: durable, found by its links, never outside its folder.
import { join } from 'node:path'
import { defineCapability, defineWorker, type WorkerDefinition } from '../../worker/define.ts'
import { errors } from '../zettel/errors.ts'
import { createZettelStore, type StoreOptions } from '../zettel/store.ts'
import { Input, Output } from './schemas.ts'

const REPOSITORY = 'zettel_repository'

/** `stateDir`: absolute; the repository is its folder `zettel_repository`, created at first use. */
export function createZettelRepository({
  stateDir,
  ...options
}: { stateDir: string } & Omit<StoreOptions, 'root'>): WorkerDefinition {
  const store = createZettelStore({ root: join(stateDir, REPOSITORY), ...options })
  const storeZettel = defineCapability({
    verb: 'store',
    name: 'zettel',
    version: '1.0.0',
    description:
      'Keeps a text with its title, category and tags as a Markdown file with front matter, and finds its links.',
    input: Input,
    output: Output,
    errors,
    invalidInput: 'INVALID_ZETTEL',
    max_concurrency: 32,
    requires_gpu: false,
    slo: { p50_ms: 25, p95_ms: 250 },
    tags: ['zettel', 'storage'],
    estimated_duration_ms: 10,
    handler: async ({ input, caller, signal, log, inSpan }) => {
      const { zettel_id: id, ...draft } = input
      const { card, path, links, backlinks } = await store.zettelsFor({ caller, signal, log, inSpan }).add(draft, id)
      return {
        zettel_id: card.zettel_id,
        storage_path: `${REPOSITORY}/${path}`,
        repository_root: REPOSITORY,
        relative_path: path,
        created_at: card.created_at,
        title: card.title,
        category: card.category,
        tags: card.tags,
        links,
        backlinks,
      }
    },
  })
  return defineWorker({
    id: 'worker-zettel-repository',
    capabilities: [storeZettel],
    close: () => store.close(),
  })
}
