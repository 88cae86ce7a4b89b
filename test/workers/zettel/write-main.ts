// Stores zettels one after the other until it is killed, and says which are stored: an id for each, or the error.
import { createZettelRepository } from '../../../src/workers/zettel_repository/worker.ts'
import { call, createTestWorker } from '../../../scripts/lab/worker-calls.ts'

const [stateDir = '', count = '1000000'] = process.argv.slice(2)
const definition = createZettelRepository({ stateDir })
const worker = await createTestWorker(definition)
const content = `${'word '.repeat(20_000)}end`
for (let at = 0; at < Number(count); at += 1) {
  const answer = await call(worker, 'store:zettel', { content, title: `number ${at}`, metadata: { at } })
  const { zettel_id, error } = answer.json() as { zettel_id?: string; error?: string }
  process.stdout.write(`${zettel_id ?? error ?? ''}\n`)
}
await definition.close?.()
