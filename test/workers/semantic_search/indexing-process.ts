// A process of its own that indexes one document after the other, and says after each that it is kept, until it is killed.
import { createEngine } from '../../../src/workers/semantic_search/engine.ts'
import { ALICE } from './names.ts'

const engine = createEngine({ dir: String(process.argv[2]), quietMs: 0, waitUpTo: 0 })
const { signal } = new AbortController()
for (let at = 0; ; at += 1) {
  const text = `document number${at} of the engine and the gearbox, part ${at % 7}`
  await engine.run(ALICE, { operation: 'index', documents: [{ id: `d${at}`, text }] }, signal)
  process.stdout.write(`${at}\n`)
}
