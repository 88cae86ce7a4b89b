// A thread that converts documents, one at a time.
import { parentPort, type MessagePort } from 'node:worker_threads'
import { convert } from './convert.ts'
import { ConversionFault, type ConvertResult, type ConvertTask } from './task.ts'
import type { ThreadMessage } from './words.ts'

function serve(port: MessagePort): void {
  const answer = (message: ThreadMessage, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
  // Nothing here has any business with the network: should a library try, it gets nowhere.
  globalThis.fetch = () => Promise.reject(new Error('nothing is fetched'))
  // Libraries print what they stumble over, which may be text of the document.
  process.stdout.write = () => true
  process.stderr.write = () => true
  port.on('message', (task: ConvertTask) => {
    convert(task).then(
      (result) => answer({ kind: 'done', result }, buffersOf(result)),
      (error: unknown) => {
        if (error instanceof ConversionFault) answer({ kind: 'fault', code: error.code, message: error.message })
        else answer({ kind: 'failed', place: placeOf(error) })
      },
    )
  })
  answer({ kind: 'ready' })
}

function buffersOf(result: ConvertResult<ConvertTask>): ArrayBuffer[] {
  if ('bytes' in result) return [result.bytes.buffer]
  if (!('attachments' in result)) return []
  return [...new Set(result.attachments.flatMap(({ content }) => (content === undefined ? [] : [content.buffer])))]
}

function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const frame = /^ +at .*$/m.exec(error.stack?.slice(String(error).length) ?? '')?.[0].trim()
  return frame === undefined ? error.name : `${error.name} ${frame}`
}

if (parentPort !== null) serve(parentPort)
