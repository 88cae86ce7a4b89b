// A process that keeps two documents, searches once, and then has nothing more to do. Argument: the folder of the index.
import { createIndexThread } from '../../../src/workers/semantic_search/index-thread.ts'
import { ALICE } from './names.ts'

const engine = createIndexThread({ dir: process.argv[2] ?? '' })
const never = new AbortController().signal
const documents = ['a red car', 'a blue train'].map((text, at) => ({ id: `${at}`, text }))
await engine.run(ALICE, { operation: 'index', documents }, never)
const found = await engine.run(ALICE, { operation: 'search', query: 'car' }, never)
process.stdout.write(`${(found as { documents: number }).documents} documents`)
