// One call of each type in a process of its own; prints the answers. With `try-network`: a thread that asks for the network.
import { isMainThread, Worker } from 'node:worker_threads'
import { createImageClassifier } from '../../../src/workers/image_classifier/worker.ts'
import { call, createTestWorker } from '../../../scripts/lab/worker-calls.ts'
import { personJpeg } from './drawn.ts'

if (!isMainThread) {
  await fetch('http://127.0.0.1:9')
} else if (process.argv[2] === 'try-network') {
  new Worker(new URL(import.meta.url)).once('exit', (code) => process.exit(code))
} else {
  const definition = createImageClassifier({ monotonic: () => 0 })
  const worker = await createTestWorker(definition)
  const image_data = (await personJpeg('body')).toString('base64')
  for (const [capability, classification_types] of [
    ['classify:image_category', ['scenes', 'nsfw']],
    ['classify:image_objects', ['objects', 'faces']],
  ] as const) {
    const { text } = await call(worker, capability, { image_data, classification_types, max_results: 1 })
    process.stdout.write(`${text}\n`)
  }
  await definition.close?.()
}
